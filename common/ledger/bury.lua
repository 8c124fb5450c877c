-- Moves waiting deliveries to the dead letters, where an operator can read, move or discard them.
-- Open groups close at once and go with them, also those with fewer alerts than `min`.
-- ARGV: now, reason, limit. Returns how many it moved, and how many groups it closed: not each has alerts, so 0 and not
-- 0 is possible. The caller repeats the call until it returns 0 and 0.
local MOST_CLOSED = 100 -- as in release
local reason, buried = ARGV[2], 0
check_types()
local closed = close_groups('+inf', math.min(MOST_CLOSED, tonumber(ARGV[3])), true)
for _, id in ipairs(redis.call('ZRANGE', waiting, 0, tonumber(ARGV[3]) - 1)) do
  local record = redis.call('HGET', records, id)
  if record then
    local rewritten = rewrite(record, function(header)
      local history = header.history or {}
      history[#history + 1] = {now, reason, ''}
      header.history = history
    end)
    if rewritten then
      store(id, record, rewritten)
    end
    to_dead(id, rewritten or record, rewritten and reason or 'unreadable')
    buried = buried + 1
  end
  redis.call('ZREM', waiting, id)
end
return {buried, closed}
