-- A worker takes released deliveries under its token. An id that is settled, or begun by another, is left out.
-- ARGV: now, token, lease in ms, id, ... Answers the time, then a record or false for each id.
local token, lease = ARGV[2], tonumber(ARGV[3])
local answer = {now}
for i = 4, #ARGV do
  local id, record = ARGV[i], false
  if redis.call('ZSCORE', released, id) and redis.call('HSETNX', leases, id, token) == 1 then
    record = redis.call('HGET', records, id)
    redis.call('ZADD', released, now + lease, id)
  end
  answer[#answer + 1] = record
end
return answer
