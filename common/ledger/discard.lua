-- Deletes dead letters for an operator. ARGV: now, id, ... Returns how many it deleted.
local discarded = 0
check_types()
for i = 2, #ARGV do
  local record = redis.call('HGET', records, ARGV[i])
  if record and redis.call('ZSCORE', dead, ARGV[i]) then
    remove(ARGV[i], record)
    history_of(ARGV[i], record, 'discarded', '')
    discarded = discarded + 1
  end
end
if discarded > 0 then
  count('discarded', discarded)
end
return discarded
