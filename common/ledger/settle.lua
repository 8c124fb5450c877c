-- One outcome for each delivery, together with the events for the manager that it caused.
-- KEYS: 1-11 as everywhere, 12-14 records, waiting and totals of the built-in integration `manager`, 15-17 those of the
--       fallback, if there is one.
-- ARGV: now, token, last error or '', longest pause of a target in ms, then of the breaker: failures in a row, percent,
--       samples, window, pause and longest pause in ms, how often dead letters are told in ms or '', the signature of
--       the last error or '', then for each: id, outcome, reason, delay in ms, new header, verdict on the target or
--       'unasked', pause that it asked for in ms, number of events, id, payload, ...
-- Answers {how many were settled, the rest came too late; the breaker's new state or ''; the end of its pause or 0;
--          the end of a pause of the target that began, or 0; 1 if something holds the integration back now}.
--
-- A delivery that succeeded is over whoever holds it now. Any other outcome counts only under a valid lease.
local token, last_error, longest_pause = ARGV[2], ARGV[3], tonumber(ARGV[4])
local rules = {
  failures = tonumber(ARGV[5]), ratio = tonumber(ARGV[6]), samples = tonumber(ARGV[7]),
  window = tonumber(ARGV[8]), pause = tonumber(ARGV[9]), longest_pause = tonumber(ARGV[10]),
}
local has_breaker, judged, asked_until = rules.failures > 0 or rules.ratio > 0, false, 0
local settled, i = 0, 13
entrance, every = 12, tonumber(ARGV[11])
check_types()
while i <= #ARGV do
  local id, outcome, reason, delay, header, verdict, pause, events = unpack(ARGV, i, i + 7)
  i = i + 8
  if events ~= '0' and not can_enter(entrance) then -- else the events were lost; a settle may be repeated
    return redis.error_reply('WRONGTYPE its events cannot be stored for the integration manager')
  end
  local record = redis.call('HGET', records, id)
  local over = outcome == 'delivered' or outcome == 'skipped'
  if record and (over or redis.call('HGET', leases, id) == token) then
    settled = settled + 1
    if verdict == 'unasked' then
      refund_of(id)
    elseif has_breaker and verdict ~= '' then
      judge(id, verdict, reason, rules, record)
      judged = true
    end
    asked_until = math.max(asked_until, now + math.min(tonumber(pause), longest_pause))
    if over then
      remove(id, record)
      count(outcome, 1)
      if outcome == 'skipped' then
        count('skipped:' .. reason, 1)
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
        to_dead(id, rewritten, reason)
        died(id, rewritten, reason)
      end
    end
    for e = i, i + events * 2 - 1, 2 do
      enter(entrance, ARGV[e], new_header() .. ARGV[e + 1])
    end
  end
  i = i + events * 2
end
if last_error ~= '' then
  redis.call('HSET', control, 'last_error', last_error, 'last_error_ms', now)
end
if judged then
  remember_health()
end
if deaths > 0 then
  tell_of_deaths()
end
if every and transition == 'open' and health.opens == 1 then -- not again each time that a probe fails
  tell('breaker_opened', '"last_error":' .. cjson.encode(last_error) .. ',"mac":' .. cjson.encode(ARGV[12]))
end
local pause_began = 0
if asked_until > math.max(now, target_until) then
  if target_until <= now then
    count('target_paused', 1)
    pause_began = asked_until
  end
  target_until = asked_until
  share('pause_until_ms', target_until, 'pause_ms', target_until - now)
end
local opened_until = transition == 'open' and breaker_until or 0
local is_held = paused or target_until > now or breaker ~= 'closed'
return {settled, transition, opened_until, pause_began, is_held and 1 or 0}
