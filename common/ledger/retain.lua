-- Deletes the oldest dead letters while they exceed the maximum age, or all together the maximum size.
-- ARGV: now, maximum age in ms or '', maximum bytes or '', limit.
-- Returns how many it deleted; the caller repeats the call if that is the limit.
local max_age, max_bytes, limit, expired = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), 0
check_types()
local bytes = to_number(redis.call('HGET', totals, 'dead_bytes'), 0)
local oldest = redis.call('ZRANGE', dead, 0, limit - 1, 'WITHSCORES')
for i = 1, #oldest, 2 do
  local id, is_old = oldest[i], max_age and tonumber(oldest[i + 1]) < now - max_age
  if not (is_old or (max_bytes and bytes > max_bytes)) then
    break
  end
  local record = redis.call('HGET', records, id) or ''
  remove(id, record)
  history_of(id, record, 'expired', '')
  bytes, expired = bytes - #record, expired + 1
end
if expired > 0 then
  count('expired', expired)
end
return expired
