-- Records the outcome of each delivery, with the events for the manager that it caused.
-- KEYS: 1-11 as in release and begin, 12-14 records, waiting and totals of the built-in integration `manager`, 15-17
--       those of the fallback, if any.
-- ARGV: now, token, last error or '', longest pause of a target in ms, then for the breaker: consecutive failures,
--       percent, samples, window, pause and longest pause in ms, interval between notifications of dead letters in ms
--       or '', signature of the last error or '', then for each delivery: id, outcome, reason, delay in ms, new header,
--       health signal, pause that the target requested in ms, facts for the history or '', number of
--       events, then for each event: id, payload
-- Returns {number settled, the others were too late; the breaker's new state or ''; the end of its pause or 0; the end
--          of a target's pause that began now or 0; 1 if the integration is blocked now; number waiting}.
--
-- A success counts whoever holds the lease now, because the target has the alert. Any other outcome needs a valid
-- lease.
local token, last_error, longest_pause = ARGV[2], ARGV[3], tonumber(ARGV[4])
local rules = {
  failures = tonumber(ARGV[5]), ratio = tonumber(ARGV[6]), samples = tonumber(ARGV[7]),
  window = tonumber(ARGV[8]), pause = tonumber(ARGV[9]), longest_pause = tonumber(ARGV[10]),
}
local has_breaker, judged, requested_until = rules.failures > 0 or rules.ratio > 0, false, 0
local settled, i = 0, 13
intake, interval = 12, tonumber(ARGV[11])
check_types()
while i <= #ARGV do
  local id, outcome, reason, delay, header, signal, pause, facts, events = unpack(ARGV, i, i + 8)
  i = i + 9
  if events ~= '0' and not can_add_delivery(intake) then -- otherwise the events are lost; a settle can be repeated
    return redis.error_reply('WRONGTYPE its events cannot be stored for the integration manager')
  end
  local record = redis.call('HGET', records, id)
  local over = outcome == 'delivered' or outcome == 'skipped'
  if record and (over or redis.call('HGET', leases, id) == token) then
    settled = settled + 1
    if signal == 'not_contacted' then
      refund_of(id)
    elseif has_breaker and signal ~= '' then
      judge(id, signal, reason, rules, record)
      judged = true
    end
    requested_until = math.max(requested_until, now + math.min(tonumber(pause), longest_pause))
    if over then
      remove(id, record)
      count(outcome, 1)
      if outcome == 'skipped' then
        count('skipped:' .. reason, 1)
      end
      if facts ~= '' then
        history(id, outcome, reason, facts)
      end
    elseif outcome == 'returned' then
      put_back(id, record)
    else
      local _, alert = split(record)
      local rewritten = header .. alert
      store(id, record, rewritten)
      if outcome == 'retry' then
        to_waiting(id, now + delay, true)
        count('retried', 1)
        count('retried:' .. reason, 1)
      elseif outcome == 'postponed' then
        to_waiting(id, now + delay, has_failed(record))
        count('postponed', 1)
      else
        to_dead(id, rewritten, reason, facts)
        on_death(id, rewritten, reason)
      end
    end
    for e = i, i + events * 2 - 1, 2 do
      add_delivery(intake, ARGV[e], new_header() .. ARGV[e + 1])
    end
  end
  i = i + events * 2
end
if last_error ~= '' then
  redis.call('HSET', control, 'last_error', last_error, 'last_error_ms', now)
end
if judged then
  store_health()
end
if deaths > 0 then
  notify_of_deaths()
end
if interval and transition == 'open' and health.opens == 1 then -- not each time that a probe fails
  notify_manager('breaker_opened', '"last_error":' .. cjson.encode(last_error) .. ',"mac":' .. cjson.encode(ARGV[12]))
end
local pause_began = 0
if requested_until > math.max(now, target_until) then
  if target_until <= now then
    count('target_paused', 1)
    pause_began = requested_until
  end
  target_until = requested_until
  set_shared('pause_until_ms', target_until, 'pause_ms', target_until - now)
end
local opened_until = transition == 'open' and breaker_until or 0
local is_blocked = paused or target_until > now or breaker ~= 'closed'
return {settled, transition, opened_until, pause_began, is_blocked and 1 or 0, redis.call('ZCARD', waiting)}
