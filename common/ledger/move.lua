-- Dead letters go on in another integration, with a fresh budget and their history.
-- KEYS: 1-8 of the integration they died in, 9-11 records, waiting and totals of the other one.
-- ARGV: now, id, ... Answers how many. One whose id the other integration holds already, or whose header
-- cannot be read, stays where it is.
local moved = 0
check_types()
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', records, id)
  if record and redis.call('ZSCORE', dead, id) then
    local rewritten = rewrite(record, function(header)
      header.attempts, header.lost, header.done, header.since_ms = nil, nil, nil, nil
      header.replays, header.replayed_ms = (header.replays or 0) + 1, now
    end)
    if rewritten and enter(9, id, rewritten) then
      remove(id, record)
      moved = moved + 1
    end
  end
end
if moved > 0 then
  count('moved', moved)
end
return moved
