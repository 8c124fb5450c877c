-- Moves released deliveries whose record or id cannot be read to the dead letters, with their bytes unchanged.
-- ARGV: now, id, ... Returns how many it moved. The next reap notifies the manager.
local buried = 0
check_types()
for i = 2, #ARGV do
  local record = redis.call('HGET', records, ARGV[i])
  if record and redis.call('ZSCORE', released, ARGV[i]) then
    to_dead(ARGV[i], record, 'unreadable')
    buried = buried + 1
  end
end
if buried > 0 then
  add(control, 'dead_untold', buried)
  redis.call('HSET', control, 'dead_last', 'unreadable')
end
return buried
