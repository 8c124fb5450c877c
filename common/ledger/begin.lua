-- A worker takes the leases of released deliveries under its token. Ids that are settled, or begun by another worker,
-- are skipped.
-- ARGV: now, token, lease in ms, id, ...
-- Returns the time, the time of the target's last success or 0, then for each id its record or false.
--
-- If the integration was paused or its breaker opened after the release, the delivery goes back to the head of the
-- queue and its rate limit tokens are refunded: no attempt is made while the target is known to be unavailable.
local token, lease = ARGV[2], tonumber(ARGV[3])
local blocked = paused or target_until > now or breaker == 'open'
local result = {now, to_number(state[8], 0)}
if blocked or breaker == 'half-open' then
  check_types()
end
for i = 4, #ARGV do
  local id, record = ARGV[i], false
  if redis.call('ZSCORE', released, id) then
    if blocked or (breaker == 'half-open' and id ~= probe) then
      local unsent = redis.call('HEXISTS', leases, id) == 0 and redis.call('HGET', records, id)
      if unsent then
        refund_of(id)
        put_back(id, unsent)
      end
    else
      local stored = redis.call('HGET', records, id)
      if redis.call('HSETNX', leases, id, token) == 1 then
        record = stored
        redis.call('ZADD', released, now + lease, id)
      end
    end
  end
  result[#result + 1] = record
end
return result
