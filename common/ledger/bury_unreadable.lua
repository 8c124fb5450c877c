-- Released deliveries of which a worker cannot read the record, or the id, become dead letters with their bytes as they are.
-- ARGV: now, id, ... Answers how many. The next reap tells the manager of them.
local condemned = 0
check_types()
for i = 2, #ARGV do
  local record = redis.call('HGET', records, ARGV[i])
  if record and redis.call('ZSCORE', released, ARGV[i]) then
    to_dead(ARGV[i], record, 'unreadable')
    condemned = condemned + 1
  end
end
if condemned > 0 then
  add(control, 'dead_untold', condemned)
  redis.call('HSET', control, 'dead_last', 'unreadable')
end
return condemned
