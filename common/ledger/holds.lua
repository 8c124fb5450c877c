-- Included before commit, release and let_go: until when deliveries are held.
--
-- A held delivery waits as any other. Its due time is the end of its window, which it shares with all others that were
-- held in the same period. So the number of held deliveries is the number with such a due time, and `held` in `control`
-- only lists those: 'ms ms ...'.
local MOST_ENDS = 30

-- Returns the due times in the future.
local function hold_ends()
  local ends = {}
  for text in string.gmatch(redis.call('HGET', control, 'held') or '', '%d+') do
    local ms = to_number(text, 0)
    if ms > now and #ends < MOST_ENDS then
      ends[#ends + 1] = ms
    end
  end
  return ends
end

local function remember_hold(due)
  local texts = {string.format('%d', due)} -- in front: if there are too many, the oldest are left out
  for _, ms in ipairs(hold_ends()) do
    if ms == due then
      return
    end
    texts[#texts + 1] = string.format('%d', ms)
  end
  redis.call('HSET', control, 'held', table.concat(texts, ' '))
end
