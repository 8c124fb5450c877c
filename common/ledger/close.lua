-- Queues the closing message of a silence that ended, once, whoever asks and however often.
-- KEYS: 1-8 as in every script, 9 what the silence kept back.
-- ARGV: now, the number that the message says, the id of its delivery, the message.
-- Returns 1 if it queued the message, 0 if it was queued before or the number has changed meanwhile.
local kept_back = KEYS[9]
if redis.call('HEXISTS', kept_back, 'closed') == 1 or redis.call('HGET', kept_back, 'number') ~= ARGV[2] then
  return 0
end
check_types()
local record = new_header() .. ARGV[4]
if redis.call('HSETNX', records, ARGV[3], record) == 1 then
  redis.call('ZADD', waiting, now, ARGV[3])
  count('committed', 1)
  count('bytes', #record)
end
redis.call('HSET', kept_back, 'closed', now)
return 1
