-- Included before settle and reap: passes dead letters on to the fallback, and notifies the manager of events.
-- The including script sets `intake`, the index in KEYS of the manager's records, waiting and totals, which those of
-- the fallback follow if there is one, and `interval`, the shortest time between two notifications of dead letters in
-- ms. Without an interval the manager is not notified.
local intake, interval
local integration_id, deaths, last_death = string.match(records, '{(.*)}'), 0, ''

local function notify_manager(event, more)
  if not can_add_delivery(intake) then
    return
  end
  local quoted_id = cjson.encode(integration_id)
  local template = '{"integration":"courier","courier":{"event":"%s","integration":%s,%s}}'
  local message = cjson.encode(string.format(template, event, quoted_id, more))
  local payload = string.format('{"location":"courier","message":%s}', message)
  add_delivery(intake, string.format('courier+%s+%s+%d', event, integration_id, now), new_header() .. payload)
end

-- Counts a dead letter and queues its alert for the fallback, too. The dead letter stays. An alert that came from
-- another integration as its fallback goes no further, so that two fallbacks cannot form a loop.
local function on_death(id, record, reason)
  deaths, last_death = deaths + 1, reason
  local line, alert = split(record)
  local readable, header = pcall(cjson.decode, line)
  local is_first = readable and type(header) == 'table' and not header.fallback_of
  if KEYS[intake + 3] and is_first and can_add_delivery(intake + 3) then
    local marked = new_header(',"fallback_of":' .. cjson.encode({integration_id, reason}))
    if add_delivery(intake + 3, id .. '+fallback:' .. integration_id, marked .. string.sub(alert, 2)) then
      count('fell_back', 1)
    end
  end
end

-- Notifies the manager of the first dead letter at once, then at most once per interval, with the number since. A later
-- reap reports those that remain.
local function notify_of_deaths()
  local stored = redis.call('HMGET', control, 'dead_told_ms', 'dead_untold', 'dead_last')
  local notified, pending = stored[1] and to_number(stored[1], 0), to_number(stored[2], 0) + deaths
  if not interval or pending == 0 then
    return
  end
  local last = last_death ~= '' and last_death or stored[3] or ''
  if notified and now >= notified and now < notified + interval then
    if deaths > 0 then
      redis.call('HSET', control, 'dead_untold', pending, 'dead_last', last)
    end
    return
  end
  local numbers = string.format('"number":%d,"dead":%d', pending, redis.call('ZCARD', dead))
  notify_manager('dead_letters', numbers .. ',"reason":' .. cjson.encode(last))
  redis.call('HSET', control, 'dead_told_ms', now, 'dead_untold', 0)
end
