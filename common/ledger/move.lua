-- Moves dead letters to the queue of another integration, with a new retry budget and their history.
-- KEYS: 1-8 of the integration that has the dead letters, 9-11 records, waiting and totals of the other one.
-- ARGV: now, id, ... Returns how many it moved. A dead letter whose id the other integration already has, or whose
-- header cannot be read, is left unchanged.
local moved = 0
check_types()
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', records, id)
  if record and redis.call('ZSCORE', dead, id) then
    local rewritten = rewrite(record, function(header)
      header.attempts, header.lost, header.done, header.since_ms, header.held_until_ms = nil, nil, nil, nil, nil
      header.replays, header.replayed_ms = (header.replays or 0) + 1, now
    end)
    if rewritten and add_delivery(9, id, rewritten) then
      remove(id, record)
      history_of(id, record, 'moved', string.match(KEYS[9], '{(.*)}'))
      moved = moved + 1
    end
  end
end
if moved > 0 then
  count('moved', moved)
end
return moved
