-- retain
-- Gives up dead letters that are older, or take more bytes together, than an operator wants to keep; the oldest first.
-- ARGV: now, longest age in ms or '', most bytes or '', limit. Answers how many; the caller comes back at the limit.
local longest_age, most_bytes, limit, expired = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), 0
check_types()
local held = to_number(redis.call('HGET', totals, 'dead_bytes'), 0)
local oldest = redis.call('ZRANGE', dead, 0, limit - 1, 'WITHSCORES')
for i = 1, #oldest, 2 do
  local id, is_old = oldest[i], longest_age and tonumber(oldest[i + 1]) < now - longest_age
  if not (is_old or (most_bytes and held > most_bytes)) then
    break
  end
  local record = redis.call('HGET', records, id) or ''
  remove(id, record)
  held, expired = held - #record, expired + 1
end
if expired > 0 then
  count('expired', expired)
end
return expired
