-- Moves what may go now from waiting to released, and says how many ids a task should carry.
-- ARGV: now, in-flight cap, most ids a task, lease in ms, linger in ms. Answers {ids a task, id, id, ...}.
--
-- The more is in flight, the larger a task must be: that keeps the number of tasks of one integration near
-- 16 * (1 + ln batch_max) even if its target hangs, so that it cannot fill a worker that it shares with others.
-- A task that would be too small waits for company, at most as long as the linger.
local cap, batch_max, lease, linger = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local in_flight = redis.call('ZCARD', released)
local room = cap - in_flight
if room <= 0 then
  return {0}
end
local due = redis.call('ZRANGE', waiting, '-inf', now, 'BYSCORE', 'LIMIT', 0, room, 'WITHSCORES')
local ready = #due / 2
if ready == 0 then
  return {0}
end
local batch = math.min(batch_max, math.max(1, math.floor(in_flight / 16)))
if ready < batch and tonumber(due[2]) > now - linger then
  return {0}
end
local answer = {math.min(batch_max, math.max(batch, math.ceil(ready / 16)))}
for i = 1, #due, 2 do
  redis.call('ZADD', released, now + lease, due[i])
  redis.call('ZREM', waiting, due[i])
  answer[#answer + 1] = due[i]
end
return answer
