-- Handles expired leases. A delivery that a worker has begun loses an attempt: the worker died. A delivery that no
-- worker has begun waits again, unless its task is still in the queue: then it has only not had its turn.
-- KEYS: 1-8 as in every script, 9-11 records, waiting and totals of `manager`, 12-14 those of the fallback, if any.
-- ARGV: now, lease in ms, maximum lost attempts, maximum attempts, limit, interval between notifications of dead
--       letters in ms or '', age from which waiting deliveries lag in ms or '', id that is still queued, ...
-- Returns {lost, released again, dead}.
local lease, most_lost, max_attempts, queued = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), {}
intake, interval = 9, tonumber(ARGV[6])
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
      on_death(id, record, 'unreadable')
    elseif is_last then
      to_dead(id, rewritten, 'worker_lost')
      on_death(id, rewritten, 'worker_lost')
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
notify_of_deaths()
notify_of_lag(tonumber(ARGV[7]))
return {lost, again, deaths}
