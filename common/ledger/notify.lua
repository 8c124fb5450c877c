-- Stands in front of settle and reap: who else hears of it when a delivery dies or its integration is in trouble.
-- Each of the two says where among its KEYS the entrance of `manager` is, which that of the fallback follows if there is
-- one, and how often dead letters are told in ms; nil tells the manager nothing.
local entrance, every
local ours, deaths, last_death = string.match(records, '{(.*)}'), 0, ''

local function tell(event, more)
  if not can_enter(entrance) then
    return
  end
  local who = cjson.encode(ours)
  local told = '{"integration":"courier","courier":{"event":"%s","integration":%s,%s}}'
  local message = cjson.encode(string.format(told, event, who, more))
  local payload = string.format('{"location":"courier","message":%s}', message)
  enter(entrance, string.format('courier+%s+%s+%d', event, ours, now), new_header() .. payload)
end

-- The dead letter stays; its alert waits for the fallback as well. What was a fallback itself has no further one.
local function died(id, record, reason)
  deaths, last_death = deaths + 1, reason
  local line, alert = split(record)
  local readable, header = pcall(cjson.decode, line)
  local is_first = readable and type(header) == 'table' and not header.fallback_of
  if KEYS[entrance + 3] and is_first and can_enter(entrance + 3) then
    local marked = new_header(',"fallback_of":' .. cjson.encode({ours, reason}))
    if enter(entrance + 3, id .. '+fallback:' .. ours, marked .. string.sub(alert, 2)) then
      count('fell_back', 1)
    end
  end
end

-- The first at once, then at most once in `every`, with the number since. Whatever is untold then is told by a reap.
local function tell_of_deaths()
  local held = redis.call('HMGET', control, 'dead_told_ms', 'dead_untold', 'dead_last')
  local told, untold = held[1] and to_number(held[1], 0), to_number(held[2], 0) + deaths
  if not every or untold == 0 then
    return
  end
  local last = last_death ~= '' and last_death or held[3] or ''
  if told and now >= told and now < told + every then
    if deaths > 0 then
      redis.call('HSET', control, 'dead_untold', untold, 'dead_last', last)
    end
    return
  end
  local numbers = string.format('"number":%d,"dead":%d', untold, redis.call('ZCARD', dead))
  tell('dead_letters', numbers .. ',"reason":' .. cjson.encode(last))
  redis.call('HSET', control, 'dead_told_ms', now, 'dead_untold', 0)
end
