-- A worker takes released deliveries under its token. An id that is settled, or begun by another, is left out.
-- ARGV: now, token, lease in ms, id, ... Answers the time, when the target last
-- took a delivery or 0, then a record or false for each id.
--
-- What was released before a pause began, or before a breaker opened, waits again at the head of the queue, and gets
-- back what it spent of a quota: no attempt is made at a target that is known to refuse it.
local token, lease = ARGV[2], tonumber(ARGV[3])
local held = paused or target_until > now or breaker == 'open'
local answer = {now, to_number(hold[8], 0)}
if held or breaker == 'half-open' then
  check_types()
end
for i = 4, #ARGV do
  local id, record = ARGV[i], false
  if redis.call('ZSCORE', released, id) then
    if held or (breaker == 'half-open' and id ~= probe) then
      local unsent = redis.call('HEXISTS', leases, id) == 0 and redis.call('HGET', records, id)
      if unsent then
        refund_of(id)
        put_back(id, unsent)
      end
    else
      local found = redis.call('HGET', records, id)
      if redis.call('HSETNX', leases, id, token) == 1 then
        record = found
        redis.call('ZADD', released, now + lease, id)
      end
    end
  end
  answer[#answer + 1] = record
end
return answer
