-- Moves what may go now from waiting to released, and says how many ids a task should carry.
-- ARGV: now, in-flight cap, most ids a task, how many a task carries where more than a few go at once, how many must go
--       while others are in flight, lease in ms, linger in ms, the credential's digest, its limits for people,
--       whether there is a breaker, its longest pause in ms, whether the newest go first when the day is short, then
--       for each limit: unit, number, burst. Answers {ids a task, id, id, ...}.
--
-- Nothing goes while the operator, the target or an open breaker holds; a breaker whose time is over lets one delivery
-- out, the probe. Otherwise as many go as the in-flight cap and every limit allow. Waiting changes nothing at all.
--
-- The more is in flight, the larger a task must be: that keeps the number of tasks of one integration near
-- 16 * (1 + ln batch_max) even if its target hangs, so that it cannot fill a worker that it shares with others.
-- A task that would be too small waits for company, at most as long as the linger.
local cap, batch_max, together, least = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local lease, linger, FEW = tonumber(ARGV[6]), tonumber(ARGV[7]), 4
local has_breaker, longest_break = ARGV[10] == '1', tonumber(ARGV[11])
local newest_first, day_is_short = ARGV[12] == '1', false

-- Where the clock was set back, what waits and what is leased moves with it; else it would wait until the clock has
-- caught up. The lowest go first, so that no rank changes meanwhile. Steps of a few seconds are waited for.
local seen, LOOK, STEP = tonumber(hold[7] or now), 5000, 2000
if now < seen - STEP then
  for _, key in ipairs({waiting, released}) do
    for first = 0, redis.call('ZCARD', key) - 1, 1000 do
      local entries = redis.call('ZRANGE', key, first, first + 999, 'WITHSCORES')
      for i = 1, #entries, 2 do
        redis.call('ZADD', key, entries[i + 1] - (seen - now), entries[i])
      end
    end
  end
  count('clock_set_back', 1)
end
if not hold[7] or now < seen - STEP or now > seen + LOOK then
  redis.call('HSET', control, 'clock_ms', now)
end

local function each_limit(what)
  for i = 13, #ARGV, 3 do
    what(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
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
  if unit == 'day' and left < redis.call('ZCOUNT', waiting, '-inf', now) then
    day_is_short = true
  end
end)
if room <= 0 then
  return {0}
end
local due
if newest_first and day_is_short then
  due = redis.call('ZRANGE', waiting, now, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, room, 'WITHSCORES')
else
  due = redis.call('ZRANGE', waiting, '-inf', now, 'BYSCORE', 'LIMIT', 0, room, 'WITHSCORES')
end
local ready = #due / 2
if ready == 0 then
  return {0}
end
local batch = math.min(batch_max, math.max(1, math.floor(in_flight / 16)))
least = in_flight > 0 and math.min(least, room) or 1
if ready < math.max(batch, least) and tonumber(due[2]) > now - linger then
  return {0}
end
local answer = {math.min(batch_max, math.max(batch, ready > FEW and together or 1, math.ceil(ready / 16)))}
local receipt
each_limit(function(unit, number, burst)
  spend(unit, number, burst, ready)
  if unit ~= 's' then
    receipt = (receipt or string.format('%d', now)) .. ' ' .. unit
  end
end)
for i = 1, #due, 2 do
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
