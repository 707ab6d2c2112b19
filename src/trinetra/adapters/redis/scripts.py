"""Lua scripts for the frame buffer operations that Redis must execute atomically.

The site has to be checked in the same step that changes the streams: between two commands another
site could claim the names. The bulk of the frames does not pass through scripts, because Lua would
copy each three times. Errors are returned as values (``pcall``), because before Redis 7 an error
raised in a script loses its error code.
"""

FIELD = "frame"
"""The only field of a stream entry: a frame as MessagePack."""

OTHER_SITE = "OTHERSITE"
"""Error code for a buffer that already belongs to another site; the site's name follows."""

_CLAIM_SITE = f"""
local function misplaced(key, site)
  local owner = redis.pcall('GET', key)
  if not owner then
    local claimed = redis.pcall('SET', key, site)
    return claimed.err and claimed
  end
  if type(owner) == 'table' then return owner end
  return owner ~= site and redis.error_reply('{OTHER_SITE} ' .. owner)
end
"""

JOIN = (
    _CLAIM_SITE
    + """
-- KEYS: site, streams...  ARGV: site, group
local wrong = misplaced(KEYS[1], ARGV[1])
if wrong then return wrong end
for i = 2, #KEYS do
  local made = redis.pcall('XGROUP', 'CREATE', KEYS[i], ARGV[2], '0', 'MKSTREAM')
  if made.err and string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then return made end
end
return 0
"""
)
"""Claim the buffer for a site and create missing groups, which start at the oldest entry."""

CLAIM = (
    _CLAIM_SITE
    + """
-- KEYS: site, streams...  ARGV: site, group, consumer, idle in ms, room
-- Returns {stream index, id, {field, value}} for each entry, {stream index, number of trimmed
-- entries} for each stream, and the number of entries without an id (before Redis 7, XAUTOCLAIM
-- returns trimmed entries as nil).
local wrong = misplaced(KEYS[1], ARGV[1])
if wrong then return wrong end
local group, consumer, idle_ms, room = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local taken, trimmed, nameless = {}, {}, 0
for i = 2, #KEYS do
  local cursor, gone = '0-0', 0
  while cursor and room > 0 do
    local got = redis.pcall('XAUTOCLAIM', KEYS[i], group, consumer, idle_ms, cursor, 'COUNT', room)
    if got.err and string.sub(got.err, 1, 7) ~= 'NOGROUP' then return got end
    if got.err then break end
    for _, entry in ipairs(got[2]) do
      if entry then
        taken[#taken + 1] = {i - 2, entry[1], entry[2]}
        room = room - 1
      else
        nameless = nameless + 1
      end
    end
    gone = gone + (got[3] and #got[3] or 0)
    cursor = got[1] ~= '0-0' and got[1]
  end
  if gone > 0 then trimmed[#trimmed + 1] = {i - 2, gone} end
end
return {taken, trimmed, nameless}
"""
)
"""Claim entries that any consumer has held for too long; trimmed entries leave the pending list."""

FINISH = """
-- KEYS: streams...  ARGV: group, then for each entry the index of its stream and its id
for n = 2, #ARGV, 2 do
  local key, id = KEYS[tonumber(ARGV[n]) + 1], ARGV[n + 1]
  local done = redis.pcall('XACK', key, ARGV[1], id)
  if type(done) == 'table' then return done end
  redis.call('XDEL', key, id)
end
return 0
"""
"""Acknowledge and delete entries, so that a stream holds only unfinished frames."""
