-- One outcome for each delivery, together with the events for the manager that it caused.
-- KEYS: 1-8 of the integration, 9-11 records, waiting and totals of the built-in integration `manager`.
-- ARGV: now, token, last error or '', then for each: id, outcome, reason, delay in ms, new header,
--       number of events, id, payload, ... Answers how many of them were settled; the rest came too late.
--
-- A delivery that succeeded is over whoever holds it now. Any other outcome counts only under a valid lease.
local token, last_error = ARGV[2], ARGV[3]
local settled, i = 0, 4
while i <= #ARGV do
  local id, outcome, reason, delay, header, events = unpack(ARGV, i, i + 5)
  i = i + 6
  local record = redis.call('HGET', records, id)
  local over = outcome == 'delivered' or outcome == 'skipped'
  if record and (over or redis.call('HGET', leases, id) == token) then
    settled = settled + 1
    if over then
      remove(id, record)
      count(outcome, 1)
      if outcome == 'skipped' then
        count('skipped:' .. reason, 1)
      end
    else
      local _, alert = split(record)
      local rewritten = header .. alert
      store(id, record, rewritten)
      if outcome == 'retry' then
        to_waiting(id, now + delay)
        count('retried', 1)
        count('retried:' .. reason, 1)
      else
        to_dead(id, rewritten, reason)
      end
    end
    for e = i, i + events * 2 - 1, 2 do
      local event = new_header() .. ARGV[e + 1]
      if redis.call('HSETNX', KEYS[9], ARGV[e], event) == 1 then
        redis.call('ZADD', KEYS[10], now, ARGV[e])
        redis.call('HINCRBY', KEYS[11], 'committed', 1)
        redis.call('HINCRBY', KEYS[11], 'bytes', #event)
      end
    end
  end
  i = i + events * 2
end
if last_error ~= '' then
  redis.call('HSET', control, 'last_error', last_error, 'last_error_ms', now)
end
return settled
