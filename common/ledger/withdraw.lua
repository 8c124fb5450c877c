-- Deletes deliveries of `courier test` that no worker has begun, and counts them as skipped.
-- ARGV: now, reason, id, ... Returns how many it deleted.
local withdrawn = 0
check_types()
for i = 3, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', records, id)
  local pending = redis.call('ZSCORE', waiting, id) or redis.call('ZSCORE', released, id)
  if record and pending and redis.call('HEXISTS', leases, id) == 0 then
    remove(id, record)
    withdrawn = withdrawn + 1
  end
end
if withdrawn > 0 then
  count('skipped', withdrawn)
  count('skipped:' .. ARGV[2], withdrawn)
end
return withdrawn
