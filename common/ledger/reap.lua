-- Brings back what was lost: a lease that expired in a worker's hands is an attempt; a released delivery that nobody
-- began is released again, unless it is still queued, since then it has merely not had its turn.
-- KEYS: 1-8 as everywhere, then the entrances of `manager` and of the fallback as in settle.
-- ARGV: now, lease in ms, most lost attempts, most attempts, limit, how often dead letters are told in ms or '', age in ms from which
--       what waits is told to be late or '', id that is still queued, ... Answers {lost, released again, dead}.
local lease, most_lost, max_attempts, queued = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), {}
entrance, every = 9, tonumber(ARGV[6])
for i = 8, #ARGV do
  queued[ARGV[i]] = true
end
local lost, again = 0, 0
local expired = redis.call('ZRANGE', released, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[5])
if #expired > 0 then
  check_types()
end
for _, id in ipairs(expired) do
  local record = redis.call('HGET', records, id)
  if not record then
    no_longer_released(id)
  elseif redis.call('HEXISTS', leases, id) == 1 then
    local is_last
    local rewritten = rewrite(record, function(header)
      header.attempts, header.lost = (header.attempts or 0) + 1, (header.lost or 0) + 1
      is_last = header.lost >= most_lost or header.attempts >= max_attempts
    end)
    lost = lost + 1
    if rewritten then
      store(id, record, rewritten)
    end
    if not rewritten then
      to_dead(id, record, 'unreadable')
      died(id, record, 'unreadable')
    elseif is_last then
      to_dead(id, rewritten, 'worker_lost')
      died(id, rewritten, 'worker_lost')
    else
      to_waiting(id, now, has_failed(rewritten))
    end
  elseif queued[id] then
    redis.call('ZADD', released, now + lease, id)
  else
    to_waiting(id, now, has_failed(record))
    again = again + 1
  end
end
if lost > 0 then
  count('lost', lost)
end
if again > 0 then
  count('released_again', again)
end
tell_of_deaths()
tell_of_lag(tonumber(ARGV[7]))
return {lost, again, deaths}
