-- Stands in front of reap, after telling: the manager hears of it when the oldest that waits passes an age.
-- Once for each time that it does, and not sooner again than dead letters would be. To look costs reading records, so it
-- is done every ten seconds, however many workers reap; of those that failed and of the others, the ones due first
-- stand for all that wait.
local LOOK_EVERY, SAMPLE = 10000, 3

-- A replay begins anew, at the turn that it was given: a dead letter of last week is not late by a week.
local function age(id)
  local record, since = redis.call('HGET', records, id), now
  if record then
    pcall(function()
      local header = cjson.decode((split(record)))
      since = to_number(header.replayed_ms or header.replays and header.since_ms or header.committed_ms, now)
    end)
  end
  return now - since
end

local function tell_of_lag(limit)
  local held = redis.call('HMGET', control, 'lag_looked_ms', 'lag_told_ms', 'lags')
  local looked, told, lags = to_number(held[1], 0), to_number(held[2], 0), held[3] == '1'
  if not every or not limit or (now >= looked and now < looked + LOOK_EVERY) then
    return
  end
  local oldest = 0
  for _, base in ipairs({0, FAILED}) do
    for _, id in ipairs(redis.call('ZRANGE', waiting, base, '+inf', 'BYSCORE', 'LIMIT', 0, SAMPLE)) do
      oldest = math.max(oldest, age(id))
    end
  end
  local may_tell = now < told or now >= told + every
  if oldest < limit then
    lags = false
  elseif not lags and may_tell then
    lags, told = true, now
    tell('lagging', string.format('"oldest_s":%d,"waiting":%d', oldest / 1000, redis.call('ZCARD', waiting)))
  end
  redis.call('HSET', control, 'lag_looked_ms', now, 'lag_told_ms', told, 'lags', lags and 1 or 0)
end
