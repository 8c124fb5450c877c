-- Moves the deliveries that may be sent now from waiting to released, and decides how many ids a task carries.
-- KEYS: 1-8 as in every script, 9-11 the state of the rate limits, which integrations with one credential share.
-- ARGV: now, in-flight cap, maximum ids per task, ids per task of a short backlog, minimum to release
--       while others are in flight, lease in ms, linger in ms, digest of the credential, its limits as text, 1 if there
--       is a breaker, its longest pause in ms, 1 if the newest go first when the daily limit is short, how long
--       deliveries that have failed let the others go first in ms, then for each limit: unit, number, burst.
-- Returns {ids per task, id, id, ...}.
--
-- Nothing is released while the operator or the target pauses the integration or its breaker is open. When the pause of
-- the breaker ends, one delivery is released, the probe: the newest that has not failed, otherwise the newest. So a few
-- deliveries that the target cannot accept do not keep the breaker open. Otherwise the in-flight cap and the limits
-- decide how many are released, in order of due time. Deliveries that have failed queue behind the others as if they
-- were due later; otherwise a few of them would use up the tokens. A new credential starts with a closed breaker.
-- While deliveries only wait, a call writes at most the clock.
--
-- The more deliveries are in flight, the larger a task must be. This keeps the number of tasks of one integration near
-- 16 * (1 + ln batch_max) even if its target hangs, so that it cannot fill a worker that it shares with others.
-- A release that would be too small is delayed by up to the linger, so that more deliveries can join it.
--
-- First it closes groups whose window has ended: their digests are deliveries like any other.
local MOST_CLOSED = 100 -- groups that one call closes; each takes up to 0.2 ms
local cap, batch_max, ids_per_task, min_ids = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local lease, linger = tonumber(ARGV[6]), tonumber(ARGV[7])
local has_breaker, longest_break = ARGV[10] == '1', tonumber(ARGV[11])
local newest_first, day_is_short, yields = ARGV[12] == '1', false, tonumber(ARGV[13])

-- If the clock was set back, the scores of waiting and released move back by the same amount: otherwise those
-- deliveries would wait until the clock catches up. Steps of up to two seconds are ignored. A call moves up to
-- SHIFT_LIMIT waiting deliveries that have failed and as many that have not, so that a long queue does not stop Redis.
-- The next call continues there. The lowest scores move first, so deliveries are moved before they are released.
--
-- `clock_shift` in `control` holds what remains: 'ms score score', the lowest scores not yet moved of the deliveries
-- that have not failed and of those that have, or 0 if that kind is finished. A delivery that starts to wait meanwhile
-- may move, too: it is then due earlier, at most by the step.
local last_clock, CLOCK_INTERVAL, CLOCK_STEP, SHIFT_LIMIT = to_number(state[7], now), 5000, 2000, 500
local step, fresh_from, failed_from = string.match(state[9] or '', '^(%d+) (%d+) (%d+)$')
step, fresh_from, failed_from = to_number(step, 0), to_number(fresh_from, 0), to_number(failed_from, 0)

local function move_back(key, entries)
  for i = 1, #entries, 2 do
    local base = tonumber(entries[i + 1]) >= FAILED and FAILED or 0
    redis.call('ZADD', key, base + math.max(0, entries[i + 1] - base - step), entries[i])
  end
end

-- Moves waiting deliveries with a score from `from` to `to`. Returns the score at which to continue, or 0 at the end.
-- That is the last score again, because more deliveries may have it; those already moved are below it.
local function move_waiting_back(from, to)
  if from == 0 then
    return 0
  end
  local entries = redis.call('ZRANGE', waiting, from, to, 'BYSCORE', 'LIMIT', 0, SHIFT_LIMIT, 'WITHSCORES')
  move_back(waiting, entries)
  return #entries == 2 * SHIFT_LIMIT and math.floor(entries[#entries]) or 0
end

local was_set_back = step == 0 and now < last_clock - CLOCK_STEP -- a second step waits until the first is finished
if was_set_back then
  check_types()
  step, fresh_from, failed_from = math.floor(last_clock - now), 1, FAILED + 1 -- a due time of 0 stays
  for _, due in ipairs(hold_ends()) do -- some are moved later, so both due times are kept
    remember_hold(due - step)
  end
  move_back(released, redis.call('ZRANGE', released, 0, -1, 'WITHSCORES')) -- all: the in-flight cap bounds them
  move_groups_back(step)
  count('clock_set_back', 1)
end
if step > 0 then
  check_types()
  fresh_from = move_waiting_back(fresh_from, '(' .. FAILED)
  failed_from = move_waiting_back(failed_from, '+inf')
  if fresh_from > 0 or failed_from > 0 then
    redis.call('HSET', control, 'clock_shift', string.format('%d %d %d', step, fresh_from, failed_from))
  else
    redis.call('HDEL', control, 'clock_shift')
  end
end
if not state[7] or was_set_back or now > last_clock + CLOCK_INTERVAL then
  redis.call('HSET', control, 'clock_ms', now)
end
close_groups(now, MOST_CLOSED, false) -- also while nothing may be released

local function each_limit(call)
  for i = 14, #ARGV, 3 do
    call(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
  end
end

if state[5] and state[5] ~= ARGV[8] then -- failures with another credential say nothing about this one
  redis.call('HDEL', control, 'breaker', 'breaker_until_ms', 'probe', 'opens', 'failures')
  if breaker ~= 'closed' then
    breaker = 'closed'
    count('breaker_closed', 1)
  end
end
if state[5] ~= ARGV[8] or state[6] ~= ARGV[9] then -- with these `status` finds the state of the limits
  redis.call('HSET', control, 'target', ARGV[8], 'limits', ARGV[9])
end
if target_until > now + target_pause then -- the clock was set back
  target_until = now + target_pause
  set_shared('pause_until_ms', target_until)
end
if breaker == 'open' and breaker_until > now + longest_break then -- the clock was set back
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
  if unit == 'day'
    and left < redis.call('ZCOUNT', waiting, 0, now) + redis.call('ZCOUNT', waiting, FAILED, FAILED + now) then
    day_is_short = true
  end
end)
if room <= 0 then
  return {0}
end

-- Returns up to `room` due deliveries, of those that have failed (base FAILED) or have not (0), in the order of their
-- release: {id, due time, id, due time, ...}.
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

-- Merges both lists: a delivery that has failed counts as due `yields` ms later than it is.
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
min_ids = in_flight > 0 and math.min(min_ids, room) or 1
if breaker == 'closed' and ready < math.max(batch, min_ids) and due[2] > now - linger then
  return {0}
end
check_types() -- before the first write, and so that nothing is sent that cannot be settled
local result = {math.min(batch_max, math.max(batch, ids_per_task, math.ceil(ready / 16)))}
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
  result[#result + 1] = due[i]
end
if breaker ~= 'closed' then
  redis.call('HSET', control, 'breaker', 'half-open', 'probe', due[1])
end
return result
