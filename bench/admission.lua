-- The check of sluice.admit() for one sliding limit, as a Redis script: cells of a
-- second, a running total, and a record of what was let in with its expiry.
-- KEYS[1]: the counter.  ARGV: amount, window in seconds, units.
local second = tonumber(redis.call('TIME')[1])
local amount, window, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local from = second - window
local had = redis.call('HMGET', KEYS[1], 'used', 'from')
local used, old = tonumber(had[1] or 0), tonumber(had[2] or from)
if from > old then
  for s = math.max(old, from - window - 1), from - 1 do
    local cell = redis.call('HGET', KEYS[1], s)
    if cell then
      used = used - tonumber(cell)
      redis.call('HDEL', KEYS[1], s)
    end
  end
end
if used + units > amount then
  return {0, used, 0}
end
redis.call('HSET', KEYS[1], 'used', used + units, 'from', from)
redis.call('HINCRBY', KEYS[1], second, units)
redis.call('EXPIRE', KEYS[1], window * 2)
local id = redis.call('INCR', 'admission')
redis.call('HSET', 'admission:' .. id, 'counter', KEYS[1], 'at', second, 'units', units)
redis.call('ZADD', 'open', second + 7800, id)
return {1, used + units, id}
