-- Sets the maximum number of entries in the history, which `history` in the prelude keeps, and deletes what exceeds it
-- or the maximum age. With a maximum of 0 entries no more are written. ARGV: now, maximum entries, maximum age in ms.
redis.call('HSET', control, 'history_max', ARGV[2])
redis.pcall('XTRIM', history_key, 'MAXLEN', ARGV[2])
redis.pcall('XTRIM', history_key, 'MINID', string.format('%d-0', math.max(0, now - tonumber(ARGV[3]))))
