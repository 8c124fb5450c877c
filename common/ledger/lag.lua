-- Included before reap, after `notify`: notifies the manager when the oldest waiting delivery exceeds an age.
-- It notifies once each time the age is exceeded, and not more often than of dead letters. The check reads records, so
-- it runs every ten seconds, however many workers reap. It samples the deliveries due first, of those that have failed
-- and of those that have not.
local CHECK_EVERY, SAMPLE = 10000, 3

-- The age of a replayed delivery counts from the due time that the replay gave it: a dead letter of last week is not a
-- week late. So does that of a held delivery: it is not late while it is held. The version before stored that time in `since_ms`.
local function age(id)
  local record, since = redis.call('HGET', records, id), now
  if record then
    pcall(function()
      local header = cjson.decode((split(record)))
      since = to_number(header.replayed_ms or header.replays and header.since_ms or header.committed_ms, now)
      since = math.max(since, to_number(header.held_until_ms, 0))
    end)
  end
  return now - since
end

local function notify_of_lag(limit)
  local stored = redis.call('HMGET', control, 'lag_looked_ms', 'lag_told_ms', 'lags')
  local checked, notified, lags = to_number(stored[1], 0), to_number(stored[2], 0), stored[3] == '1'
  if not interval or not limit or (now >= checked and now < checked + CHECK_EVERY) then
    return
  end
  local oldest = 0
  for _, base in ipairs({0, FAILED}) do
    for _, id in ipairs(redis.call('ZRANGE', waiting, base, '+inf', 'BYSCORE', 'LIMIT', 0, SAMPLE)) do
      oldest = math.max(oldest, age(id))
    end
  end
  local may_notify = now < notified or now >= notified + interval
  if oldest < limit then
    lags = false
  elseif not lags and may_notify then
    lags, notified = true, now
    notify_manager('lagging', string.format('"oldest_s":%d,"waiting":%d', oldest / 1000, redis.call('ZCARD', waiting)))
  end
  redis.call('HSET', control, 'lag_looked_ms', now, 'lag_told_ms', notified, 'lags', lags and 1 or 0)
end
