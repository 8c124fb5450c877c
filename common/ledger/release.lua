-- Moves what may go now from waiting to released, and says how many ids a task should carry.
-- ARGV: now, in-flight cap, most ids a task, how many a task carries where more than a few go at once, how many must go
--       while others are in flight, lease in ms, linger in ms, the credential's digest, its limits for people,
--       whether there is a breaker, its longest pause in ms, whether the newest go first when the day is short, for how
--       many ms what failed lets others go first, then for each limit: unit, number, burst.
-- Answers {ids a task, id, id, ...}.
--
-- Nothing goes while the operator, the target or an open breaker holds; a breaker whose time is over lets one delivery
-- out, the probe: the newest that has not failed yet, else the newest. So a few that the target can't take do not keep
-- it open. Otherwise as many go as the in-flight cap and every limit allow, in the order of their due times; but what
-- failed lets go first, for a while, what has not: else a few of them would take the tokens of all others. Another
-- credential begins with a closed breaker. Waiting changes nothing at all.
--
-- The more is in flight, the larger a task must be: that keeps the number of tasks of one integration near
-- 16 * (1 + ln batch_max) even if its target hangs, so that it cannot fill a worker that it shares with others.
-- A task that would be too small waits for company, at most as long as the linger.
local cap, batch_max, together, least = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local lease, linger, FEW = tonumber(ARGV[6]), tonumber(ARGV[7]), 4
local has_breaker, longest_break = ARGV[10] == '1', tonumber(ARGV[11])
local newest_first, day_is_short, yields = ARGV[12] == '1', false, tonumber(ARGV[13])

-- Where the clock was set back, what waits and what is leased moves with it; else it would wait until the clock has
-- caught up. The lowest go first, so that no rank changes meanwhile. Steps of a few seconds are waited for.
local seen, LOOK, STEP = to_number(hold[7], now), 5000, 2000
if now < seen - STEP then
  check_types()
  for _, key in ipairs({waiting, released}) do
    for first = 0, redis.call('ZCARD', key) - 1, 1000 do
      local entries = redis.call('ZRANGE', key, first, first + 999, 'WITHSCORES')
      for i = 1, #entries, 2 do
        local base = tonumber(entries[i + 1]) >= FAILED and FAILED or 0
        redis.call('ZADD', key, base + math.max(0, entries[i + 1] - base - (seen - now)), entries[i])
      end
    end
  end
  count('clock_set_back', 1)
end
if not hold[7] or now < seen - STEP or now > seen + LOOK then
  redis.call('HSET', control, 'clock_ms', now)
end

local function each_limit(what)
  for i = 14, #ARGV, 3 do
    what(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
  end
end

if hold[5] and hold[5] ~= ARGV[8] then -- what another credential was refused says nothing of this one
  redis.call('HDEL', control, 'breaker', 'breaker_until_ms', 'probe', 'opens', 'failures')
  if breaker ~= 'closed' then
    breaker = 'closed'
    count('breaker_closed', 1)
  end
end
if hold[5] ~= ARGV[8] or hold[6] ~= ARGV[9] then -- where `status` finds the state of the limits
  redis.call('HSET', control, 'target', ARGV[8], 'limits', ARGV[9])
end
if target_until > now + target_pause then -- the clock went back
  target_until = now + target_pause
  share('pause_until_ms', target_until)
end
if breaker == 'open' and breaker_until > now + longest_break then -- the same
  breaker_until = now + longest_break
  redis.call('HSET', control, 'breaker_until_ms', breaker_until)
end
if breaker ~= 'closed' and not has_breaker then
  redis.call('HDEL', control, 'breaker', 'breaker_until_ms', 'probe')
  breaker = 'closed'
end
if paused or target_until > now or (breaker == 'open' and breaker_until > now) then
  return {0}
end
if breaker == 'half-open' and redis.call('ZSCORE', released, probe) then
  return {0}
end

local in_flight = redis.call('ZCARD', released)
local room = breaker == 'closed' and cap - in_flight or math.min(1, cap - in_flight)
each_limit(function(unit, number, burst)
  local left = allowed(unit, number, burst)
  room = math.min(room, left)
  if unit == 'day' and left < redis.call('ZCOUNT', waiting, 0, now) + redis.call('ZCOUNT', waiting, FAILED, FAILED + now) then
    day_is_short = true
  end
end)
if room <= 0 then
  return {0}
end

-- Up to `room` of one kind that are due, in the order in which they go: {id, due time, id, due time, ...}.
local newest = breaker ~= 'closed' or (newest_first and day_is_short)
local function due_of(base)
  local found
  if newest then
    found = redis.call('ZRANGE', waiting, base + now, base, 'BYSCORE', 'REV', 'LIMIT', 0, room, 'WITHSCORES')
  else
    found = redis.call('ZRANGE', waiting, base, base + now, 'BYSCORE', 'LIMIT', 0, room, 'WITHSCORES')
  end
  for i = 2, #found, 2 do
    found[i] = found[i] - base
  end
  return found
end

local function merged(fresh, failed)
  if #failed == 0 then
    return fresh
  end
  local both, f = {}, 1
  for i = 1, #failed, 2 do
    while fresh[f] and (newest or fresh[f + 1] <= failed[i + 1] + yields) do
      both[#both + 1], both[#both + 2], f = fresh[f], fresh[f + 1], f + 2
    end
    both[#both + 1], both[#both + 2] = failed[i], failed[i + 1]
  end
  for i = f, #fresh do
    both[#both + 1] = fresh[i]
  end
  return both
end

local due = merged(due_of(0), due_of(FAILED))
local ready = math.min(room, #due / 2)
if ready == 0 then
  return {0}
end
local batch = math.min(batch_max, math.max(1, math.floor(in_flight / 16)))
least = in_flight > 0 and math.min(least, room) or 1
if breaker == 'closed' and ready < math.max(batch, least) and due[2] > now - linger then
  return {0}
end
check_types() -- nothing is sent that could not be settled
local answer = {math.min(batch_max, math.max(batch, ready > FEW and together or 1, math.ceil(ready / 16)))}
local receipt
each_limit(function(unit, number, burst)
  spend(unit, number, burst, ready)
  if unit ~= 's' then
    receipt = (receipt or string.format('%d', now)) .. ' ' .. unit
  end
end)
for i = 1, 2 * ready, 2 do
  redis.call('ZADD', released, now + lease, due[i])
  redis.call('ZREM', waiting, due[i])
  if receipt then
    redis.call('HSET', spent, due[i], receipt)
  end
  answer[#answer + 1] = due[i]
end
if breaker ~= 'closed' then
  redis.call('HSET', control, 'breaker', 'half-open', 'probe', due[1])
end
return answer
