-- Adds dead letters from another ledger, with their time of death.
-- ARGV: now, then id, time of death, record, ... Returns how many it added. A delivery whose id is already in this
-- ledger, in any state, is left unchanged.
local imported = 0
check_types()
for i = 2, #ARGV, 3 do
  local id, record = ARGV[i], ARGV[i + 2]
  if redis.call('HSETNX', records, id, record) == 1 then
    redis.call('ZADD', dead, ARGV[i + 1], id)
    count('dead_bytes', #record)
    imported = imported + 1
  end
end
if imported > 0 then
  count('imported', imported)
end
return imported
