-- Wireshark's dissector of `tickwire.v1.bin`, written from src/wire/protocol.md, section "Binary records".
--
--   tshark -X lua_script:tools/wireshark/tickwire.lua -r FILE -Y 'tickwire.symbol == "AAPL"' -V
--   cp tools/wireshark/tickwire.lua ~/.local/lib/wireshark/plugins/      # for the window: Help > About > Folders
--
-- Wireshark calls it where a WebSocket was granted that subprotocol. Of a capture that begins later, name the server's
-- port in the preference `tickwire.port`, and tell Wireshark that it is a WebSocket: `-d tcp.port==8080,websocket`.
--
-- Records are differences: what they say is shown as the values that they lead to, from the snapshot of their topic on.
-- Of a topic whose answer to `subscribe` is not in the capture nothing can be told, not even where its records end.
-- `vwap`, `change` and `change_percent` are left to clients: `notional`, from which they follow, is shown exactly.
--
-- Packets are looked at in order once, when states are kept; any time after that what was found then is shown again.

local tickwire = Proto("tickwire", "Tickwire market data")

local CHANNELS -- by name: how its bodies are read

-- Numbers of up to 128 bits, in two's complement: eight limbs of 16 bits, the lowest first. Lua 5.2 has doubles alone.

local LIMBS = 8
local LIMB = 65536

local function big(small)
  local number = {}
  for limb = 1, LIMBS do
    number[limb] = small % LIMB
    small = math.floor(small / LIMB)
  end
  return number
end

local ZERO = big(0)

local function add(a, b)
  local sum, carry = {}, 0
  for limb = 1, LIMBS do
    local all = a[limb] + b[limb] + carry
    sum[limb] = all % LIMB
    carry = all >= LIMB and 1 or 0
  end
  return sum
end

local function complement(a)
  local number = {}
  for limb = 1, LIMBS do number[limb] = LIMB - 1 - a[limb] end
  return number
end

local function negative(a) return add(complement(a), big(1)) end

local function subtract(a, b) return add(a, negative(b)) end

local function is_negative(a) return a[LIMBS] >= LIMB / 2 end

local function times(a, factor)
  local product, carry = {}, 0
  for limb = 1, LIMBS do
    local all = a[limb] * factor + carry
    product[limb] = all % LIMB
    carry = math.floor(all / LIMB)
  end
  return product
end

local function equal(a, b)
  for limb = 1, LIMBS do
    if a[limb] ~= b[limb] then return false end
  end
  return true
end

local function less(a, b)
  if is_negative(a) ~= is_negative(b) then return is_negative(a) end
  for limb = LIMBS, 1, -1 do
    if a[limb] ~= b[limb] then return a[limb] < b[limb] end
  end
  return false
end

-- Whether an unsigned number has no more than so many bits.
local function fits(a, bits)
  for limb = 1, LIMBS do
    local here = math.max(0, math.min(16, bits - 16 * (limb - 1)))
    if a[limb] >= 2 ^ here then return false end
  end
  return true
end

-- The lowest 64 bits, with the sign that they have, or with none.
local function signed64(a)
  local fill = a[4] >= LIMB / 2 and LIMB - 1 or 0
  return { a[1], a[2], a[3], a[4], fill, fill, fill, fill }
end

local function unsigned64(a) return { a[1], a[2], a[3], a[4], 0, 0, 0, 0 } end

local function halved(a)
  local number = {}
  for limb = 1, LIMBS do
    local above = a[limb + 1] or 0
    number[limb] = math.floor(a[limb] / 2) + (above % 2) * (LIMB / 2)
  end
  return number
end

local function unzigzag(a)
  if a[1] % 2 == 0 then return halved(a) end
  return complement(halved(a))
end

-- Of a number that is known to be below 2⁴⁸.
local function small(a) return a[1] + a[2] * LIMB + a[3] * LIMB * LIMB end

local function digits(a)
  local sign = ""
  if is_negative(a) then
    sign, a = "-", negative(a)
  end
  local groups, left = {}, { table.unpack(a) }
  repeat
    local rest, is_zero = 0, true
    for limb = LIMBS, 1, -1 do
      local all = rest * LIMB + left[limb]
      left[limb] = math.floor(all / 10000)
      rest = all % 10000
      is_zero = is_zero and left[limb] == 0
    end
    table.insert(groups, 1, string.format("%04d", rest))
  until is_zero
  local text = table.concat(groups):gsub("^0+", "")
  if text == "" then return "", "0" end
  return sign, text
end

local function integer(a)
  local sign, text = digits(a)
  return sign .. text
end

-- A mantissa with all digits of its exponent.
local function decimal(mantissa, exponent)
  local sign, text = digits(mantissa)
  if exponent >= 0 then
    return text == "0" and "0" or sign .. text .. string.rep("0", exponent)
  end
  text = string.rep("0", 1 - exponent - #text) .. text
  return sign .. text:sub(1, exponent - 1) .. "." .. text:sub(exponent)
end

-- As Wireshark's own numbers of 64 bits.
local function uint64(a) return UInt64.new(a[1] + a[2] * LIMB, a[3] + a[4] * LIMB) end
local function int64(a) return Int64.new(a[1] + a[2] * LIMB, a[3] + a[4] * LIMB) end

local function bits_of(number, from, count) return math.floor(number / 2 ^ from) % 2 ^ count end
local function is_set(number, bit) return bits_of(number, bit, 1) == 1 end

-- What is wrong with a message, thrown by what reads it. `undecoded`: nothing, but it cannot be read here.

local function fault(offset, text) error({ offset = offset, text = text, kind = "malformed" }, 0) end
local function undecoded(offset, text) error({ offset = offset, text = text, kind = "undecoded" }, 0) end

local function meaningless(offset, bits) fault(offset, string.format("bits 0x%x mean nothing here", bits)) end

local OVERLONG = "a number is longer than it may be"
local TRUNCATED = "the message ends within a record"
local NO_SNAPSHOT = "the prefix of a snapshot stands before none"

local function is_utf8(text)
  local at = 1
  while at <= #text do
    local first = text:byte(at)
    local count, low, high = 0, 0x80, 0xbf
    if first < 0x80 then count = 0
    elseif first >= 0xc2 and first <= 0xdf then count = 1
    elseif first >= 0xe0 and first <= 0xef then
      count = 2
      if first == 0xe0 then low = 0xa0 elseif first == 0xed then high = 0x9f end
    elseif first >= 0xf0 and first <= 0xf4 then
      count = 3
      if first == 0xf0 then low = 0x90 elseif first == 0xf4 then high = 0x8f end
    else return false end
    for _ = 1, count do
      at = at + 1
      local byte = text:byte(at)
      if not byte or byte < low or byte > high then return false end
      low, high = 0x80, 0xbf
    end
    at = at + 1
  end
  return true
end

local Reader = {}
Reader.__index = Reader

local function reader_of(bytes) return setmetatable({ bytes = bytes, at = 0 }, Reader) end

function Reader:byte()
  local byte = self.bytes:byte(self.at + 1)
  if not byte then fault(#self.bytes, TRUNCATED) end
  self.at = self.at + 1
  return byte
end

-- An unsigned number of at most `bits` bits.
function Reader:number(bits)
  local start, shift, number = self.at, 0, big(0)
  while true do
    local byte = self:byte()
    local limb = math.floor(shift / 16) + 1
    local all = (byte % 128) * 2 ^ (shift % 16)
    local above = math.floor(all / LIMB)
    -- Any byte behind the nineteenth is too much for 128 bits.
    if limb > LIMBS or (limb == LIMBS and above > 0) then fault(start, OVERLONG) end
    number[limb] = number[limb] + all % LIMB
    if limb < LIMBS then number[limb + 1] = number[limb + 1] + above end
    if not fits(number, bits or 64) or (byte == 0 and shift > 0) then fault(start, OVERLONG) end
    if byte < 128 then return number end
    shift = shift + 7
  end
end

function Reader:signed(bits) return unzigzag(self:number(bits)) end

-- A number that is not 0.
function Reader:positive(field, bits)
  local start = self.at
  local number = self:number(bits)
  if equal(number, ZERO) then fault(start, "`" .. field .. "` is 0") end
  return number
end

-- 9,223,372,036,854,776: what nanoseconds in 64 bits hold.
local LAST_MICROSECOND = add(times(big(9223372036), 1000000), big(854776))

-- Microseconds that nanoseconds in 64 bits hold.
function Reader:time()
  local start = self.at
  local micros = self:signed()
  if less(LAST_MICROSECOND, micros) or less(micros, negative(LAST_MICROSECOND)) then fault(start, OVERLONG) end
  return micros
end

local SCALES = { [0] = 1, 10, 10000, 100000 }

function Reader:size(scale)
  local start = self.at
  local number = self:number()
  if scale == 0 then return signed64(number) end
  local size = times(number, SCALES[scale])
  if not fits(size, 63) then fault(start, OVERLONG) end
  return size
end

function Reader:text(field)
  local length = self:number()
  local start = self.at
  if not fits(length, 32) or small(length) > #self.bytes - start then fault(#self.bytes, TRUNCATED) end
  self.at = start + small(length)
  local text = self.bytes:sub(start + 1, self.at)
  if not is_utf8(text) then fault(start, "`" .. field .. "` is not UTF-8") end
  return text
end

-- 0: there is nothing; 1: something follows.
function Reader:exists()
  local start = self.at
  local byte = self:byte()
  if byte > 1 then meaningless(start, byte) end
  return byte == 1
end

function Reader:checksum()
  local a, b, c, d = self:byte(), self:byte(), self:byte(), self:byte()
  return a + b * 2 ^ 8 + c * 2 ^ 16 + d * 2 ^ 24
end

local function check_of(seq)
  local sum = 0
  for limb = 1, 4 do sum = sum + seq[limb] % 256 + math.floor(seq[limb] / 256) end
  return sum % 256
end

local function moved(price, difference) return signed64(add(price, difference)) end

-- The channels. Each reads a body into the state that it leads to, and tells a state's fields as `{ name, text }` in
-- order; a state is never changed, but replaced.

local NOTHING = "null"
local STEP, MERGED, BACKWARDS, CHECKSUM, NO_BID, NO_ASK = 0, 1, 2, 3, 4, 5

local quote = { empty = {}, flags = { [NO_BID] = true, [NO_ASK] = true } }

function quote.update(reader, _, old, flags)
  local start = reader.at
  local fields = reader:byte()
  local scale, step = bits_of(fields, 4, 2), bits_of(fields, 6, 2)
  if step > 0 and is_set(fields, 0) == is_set(fields, 2) then meaningless(start, fields) end
  local function side(held, bit, gone)
    local has_price, has_size = is_set(fields, bit), is_set(fields, bit + 1)
    if is_set(flags, gone) then
      if has_price or has_size then meaningless(start, bits_of(fields, bit, 2) * 2 ^ bit) end
      return nil
    end
    if not has_price and not has_size then return held end
    local new = { price = held and held.price or ZERO, size = held and held.size or ZERO }
    if has_price then new.price = moved(new.price, step > 0 and unzigzag(big(step)) or reader:signed()) end
    if has_size then new.size = reader:size(scale) end
    return new
  end
  local bid = side(old.bid, 0, NO_BID)
  return { bid = bid, ask = side(old.ask, 2, NO_ASK) }
end

function quote.snapshot(reader, topic) return quote.update(reader, topic, quote.empty, 0) end

function quote.fields(state, topic)
  local fields = {}
  for _, name in ipairs({ "bid", "ask" }) do
    local side = state[name]
    table.insert(fields, { name, side and decimal(side.price, topic.price_exponent) or NOTHING })
    table.insert(fields, { name .. "_size", side and decimal(side.size, topic.size_exponent) or NOTHING })
  end
  return fields
end

local SIDES = { [0] = "none", "buy", "sell" }

local trade = { empty = {}, flags = {}, is_whole = function() return true end }

function trade.update(reader, _, old)
  local start = reader.at
  local fields = reader:byte()
  local side = SIDES[bits_of(fields, 0, 2)]
  if not side then fault(start, "`side` is 3") end
  local step = bits_of(fields, 5, 3)
  local price = moved(old.price or ZERO, step > 0 and unzigzag(big(step - 1)) or reader:signed())
  local size = reader:size(bits_of(fields, 3, 2))
  local id = is_set(fields, 2) and unsigned64(add(old.id or ZERO, reader:signed())) or nil
  return { price = price, size = size, side = side, id = id }
end

function trade.snapshot(reader, topic)
  return reader:exists() and trade.update(reader, topic, trade.empty) or trade.empty
end

function trade.fields(state, topic)
  if not state.price then return {} end
  return {
    { "price", decimal(state.price, topic.price_exponent) },
    { "size", decimal(state.size, topic.size_exponent) },
    { "side", state.side },
    state.id and { "id", integer(state.id) } or nil,
  }
end

local book = { empty = { bids = {}, asks = {} }, flags = { [CHECKSUM] = true } }

local function set_level(levels, level, is_ask)
  local at = 1
  while levels[at] do
    local held = levels[at].price
    local is_before = is_ask and less(held, level.price) or not is_ask and less(level.price, held)
    if not is_before then break end
    at = at + 1
  end
  if levels[at] and equal(levels[at].price, level.price) then table.remove(levels, at) end
  if not equal(level.size, ZERO) then table.insert(levels, at, level) end
end

-- Besides the state, the levels of the record; and those that fall past the depth, which are not in it.
local function read_levels(reader, topic, old)
  local state, prices, said = {}, {}, {}
  for _, side in ipairs({ "bids", "asks" }) do
    state[side] = { table.unpack(old[side]) }
    prices[side] = old[side][1] and old[side][1].price or ZERO
  end
  local scale
  repeat
    local start = reader.at
    local number = reader:number(68)
    local is_more, is_ask = number[1] % 2 == 1, bits_of(number[1], 1, 1) == 1
    local distance = halved(halved(number))
    if not scale then
      scale = distance[1] % 4
      distance = halved(halved(distance))
    end
    if not fits(distance, 64) then fault(start, OVERLONG) end
    local worse = unzigzag(distance)
    local side = is_ask and "asks" or "bids"
    prices[side] = moved(prices[side], is_ask and worse or negative(worse))
    local level = { price = prices[side], size = reader:size(scale) }
    set_level(state[side], level, is_ask)
    table.insert(said, { side = side, price = level.price, size = level.size, from = start, to = reader.at })
  until not is_more
  for _, side in ipairs({ "bids", "asks" }) do
    while #state[side] > topic.depth do
      local level = table.remove(state[side])
      table.insert(said, { side = side, price = level.price, size = ZERO, is_implied = true })
    end
  end
  return state, { levels = said }
end

function book.snapshot(reader, topic)
  local checksum = reader:checksum()
  if not reader:exists() then return book.empty, { checksum = checksum, levels = {} } end
  local state, extra = read_levels(reader, topic, book.empty)
  extra.checksum = checksum
  return state, extra
end

function book.update(reader, topic, old, flags)
  local checksum = is_set(flags, CHECKSUM) and reader:checksum() or nil
  local state, extra = read_levels(reader, topic, old)
  extra.checksum = checksum
  return state, extra
end

function book.fields() return {} end

-- A bitmap of the lowest `known` bits; of each pair, the first excludes the others.
local function bitmap(reader, known, exclusions)
  local start = reader.at
  local fields = small(reader:number(32))
  local unknown = fields - fields % 2 ^ known
  if unknown > 0 then meaningless(start, unknown) end
  for _, exclusion in ipairs(exclusions) do
    local gone = exclusion[1]
    if is_set(fields, gone) then
      local wrong = 0
      for _, other in ipairs(exclusion[2]) do
        if is_set(fields, other) then wrong = wrong + 2 ^ other end
      end
      if wrong > 0 then meaningless(start, wrong + 2 ^ gone) end
    end
  end
  return fields
end

local function price_or_nothing(price, topic)
  return price and decimal(price, topic.price_exponent) or NOTHING
end

local function add_totals(fields, totals, topic)
  table.insert(fields, { "volume", totals and decimal(totals.volume, topic.size_exponent) or NOTHING })
  local notional = totals and decimal(totals.notional, topic.price_exponent + topic.size_exponent)
  table.insert(fields, { "notional", notional or NOTHING })
  table.insert(fields, { "trades", totals and integer(totals.trades) or NOTHING })
end

local function copy(state)
  local new = {}
  for name, value in pairs(state) do new[name] = value end
  return new
end

local TICKER_EXCLUSIONS = { { 11, { 0, 1 } }, { 12, { 2 } }, { 13, { 3 } }, { 14, { 4, 5, 6, 7, 8, 9 } }, { 15, { 10 } } }

local ticker = { empty = {}, flags = {} }

function ticker.update(reader, _, old)
  local fields = bitmap(reader, 16, TICKER_EXCLUSIONS)
  local function price(bit, gone, held)
    if is_set(fields, bit) then return moved(held or ZERO, reader:signed()) end
    if is_set(fields, gone) then return nil end
    return held
  end
  local state = { close = old.close }
  if is_set(fields, 0) or is_set(fields, 1) then
    state.last = { price = old.last and old.last.price or ZERO, size = old.last and old.last.size or ZERO }
  elseif not is_set(fields, 11) then
    state.last = old.last
  end
  if is_set(fields, 0) then state.last.price = moved(state.last.price, reader:signed()) end
  if is_set(fields, 1) then state.last.size = reader:size(0) end
  state.bid = price(2, 12, old.bid)
  state.ask = price(3, 13, old.ask)
  if not is_set(fields, 14) then state.session = old.session end
  if bits_of(fields, 4, 6) > 0 then
    local session = old.session and copy(old.session)
      or { open = ZERO, high = ZERO, low = ZERO, volume = ZERO, notional = ZERO, trades = ZERO }
    if is_set(fields, 4) then session.volume = add(session.volume, reader:signed(128)) end
    if is_set(fields, 5) then session.notional = add(session.notional, reader:signed(128)) end
    if is_set(fields, 6) then session.trades = unsigned64(add(session.trades, reader:signed())) end
    if is_set(fields, 7) then session.high = moved(session.high, reader:signed()) end
    if is_set(fields, 8) then session.low = moved(session.low, reader:signed()) end
    if is_set(fields, 9) then session.open = moved(session.open, reader:signed()) end
    state.session = session
  end
  state.close = price(10, 15, old.close)
  return state
end

function ticker.snapshot(reader, topic) return ticker.update(reader, topic, ticker.empty) end

function ticker.fields(state, topic)
  local session = state.session
  local fields = {
    { "last", price_or_nothing(state.last and state.last.price, topic) },
    { "last_size", state.last and decimal(state.last.size, topic.size_exponent) or NOTHING },
    { "bid", price_or_nothing(state.bid, topic) },
    { "ask", price_or_nothing(state.ask, topic) },
    { "open", price_or_nothing(session and session.open, topic) },
    { "high", price_or_nothing(session and session.high, topic) },
    { "low", price_or_nothing(session and session.low, topic) },
    { "close", price_or_nothing(state.close, topic) },
  }
  add_totals(fields, session, topic)
  return fields
end

local bar = { empty = {}, flags = {} }

function bar.update(reader, _, old)
  local fields = bitmap(reader, 9, {})
  local is_new = is_set(fields, 8) or not old.start
  local close = old.close or ZERO
  local state = not is_new and copy(old)
    or { start = old.start or ZERO, open = close, high = close, low = close, close = close,
         volume = ZERO, notional = ZERO, trades = ZERO, final = false }
  if is_set(fields, 8) then state.start = moved(state.start, reader:signed()) end
  if is_set(fields, 0) then state.high = moved(state.high, reader:signed()) end
  if is_set(fields, 1) then state.low = moved(state.low, reader:signed()) end
  if is_set(fields, 2) then state.close = moved(state.close, reader:signed()) end
  if is_set(fields, 3) then state.volume = add(state.volume, reader:signed(128)) end
  if is_set(fields, 4) then state.notional = add(state.notional, reader:signed(128)) end
  if is_set(fields, 5) then state.trades = unsigned64(add(state.trades, reader:signed())) end
  if is_set(fields, 7) then state.open = moved(state.open, reader:signed()) end
  if is_set(fields, 6) then state.final = not state.final end
  return state
end

function bar.snapshot(reader, topic)
  return reader:exists() and bar.update(reader, topic, bar.empty) or bar.empty
end

-- The first update of a new bar has all its fields.
function bar.is_whole(old, new) return not old.start or not equal(old.start, new.start) end

function bar.fields(state, topic)
  local fields = {
    { "start", state.start and integer(state.start) or NOTHING },
    { "open", price_or_nothing(state.open, topic) },
    { "high", price_or_nothing(state.high, topic) },
    { "low", price_or_nothing(state.low, topic) },
    { "close", price_or_nothing(state.close, topic) },
  }
  add_totals(fields, state.volume and state, topic)
  table.insert(fields, { "final", tostring(state.final or false) })
  return fields
end

local STATES = { [0] = "trading", "halted", "auction", "closed", "stale", "ended" }

local status = { empty = {}, flags = {}, is_whole = function() return true end }

function status.update(reader)
  local start = reader.at
  local state = reader:byte()
  if not STATES[state] then fault(start, "`state` is " .. state) end
  return { state = STATES[state], reason = reader:text("reason") }
end

status.snapshot = status.update

function status.fields(state) return { { "state", state.state }, { "reason", state.reason } } end

CHANNELS = { quote = quote, trade = trade, book = book, ticker = ticker, bar = bar, status = status }

-- JSON, as much as answers need: what names topics is read, and anything that is not JSON is `nil`.

local JSON_DEPTH_MAX = 16
local parse_json

local function skip_space(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function parse_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('["\\]', at)
    if not stop then return nil end
    table.insert(parts, text:sub(at, stop - 1))
    if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local escaped = ESCAPES[text:sub(stop + 1, stop + 1)]
    -- Names of instruments and channels have no others: one that has is shown as it is written.
    table.insert(parts, escaped or text:sub(stop, stop + 1))
    at = stop + 2
  end
end

local LITERALS = { ["true"] = true, ["false"] = false, ["null"] = NOTHING }

function parse_json(text, at, depth)
  at = skip_space(text, at)
  local first = text:sub(at, at)
  if first == '"' then return parse_string(text, at + 1) end
  if first ~= "{" and first ~= "[" then
    local word = text:match("^[%w%.%+%-]+", at)
    if not word then return nil end
    local value = LITERALS[word]
    if value == nil then value = tonumber(word) end
    return value, at + #word
  end
  if depth >= JSON_DEPTH_MAX then return nil end
  local closing, whole = first == "{" and "}" or "]", {}
  at = skip_space(text, at + 1)
  if text:sub(at, at) == closing then return whole, at + 1 end
  while true do
    local key = #whole + 1
    if first == "{" then
      if text:sub(at, at) ~= '"' then return nil end
      key, at = parse_string(text, at + 1)
      if not key then return nil end
      at = skip_space(text, at)
      if text:sub(at, at) ~= ":" then return nil end
      at = at + 1
    end
    local value
    value, at = parse_json(text, at, depth + 1)
    if value == nil then return nil end
    whole[key] = value
    at = skip_space(text, at)
    local mark = text:sub(at, at)
    if mark == closing then return whole, at + 1 end
    if mark ~= "," then return nil end
    at = skip_space(text, at + 1)
  end
end

-- What answers grant, by the connection's direction and the topic's number.

local conversations = {}
local found = {} -- by packet and place: what was found when it was first looked at

function tickwire.init()
  conversations, found = {}, {}
end

local function conversation_of(pinfo)
  local key = string.format("%s|%d|%s|%d", tostring(pinfo.src), pinfo.src_port, tostring(pinfo.dst), pinfo.dst_port)
  conversations[key] = conversations[key] or {}
  return conversations[key]
end

local function is_exponent(value)
  return type(value) == "number" and value == math.floor(value) and math.abs(value) <= 64
end

local function grant(topics, result, granted)
  local channel = CHANNELS[result.channel]
  local number = granted.topic
  if type(number) ~= "number" or not channel then return end
  if not is_exponent(granted.price_exponent) or not is_exponent(granted.size_exponent) then return end
  if channel == book and type(result.depth) ~= "number" then return end
  local parameter = result.depth and string.format(".%d", result.depth)
    or type(result.interval) == "string" and "." .. result.interval or ""
  local held = topics[number] or {}
  topics[number] = {
    number = number,
    channel = channel,
    name = result.channel .. parameter,
    symbol = tostring(granted.symbol),
    depth = result.depth,
    price_exponent = granted.price_exponent,
    size_exponent = granted.size_exponent,
    seq = held.seq,
    ts_event = held.ts_event,
    state = held.state or channel.empty,
  }
end

local function take_answers(topics, text)
  local objects = parse_json(text, 1, 0)
  for _, object in ipairs(type(objects) == "table" and objects or {}) do
    local result = type(object) == "table" and object.success == true and object.result
    if type(result) == "table" then
      if object.method == "resync" then grant(topics, result, result) end
      for _, granted in ipairs(type(result.granted) == "table" and result.granted or {}) do
        if type(granted) == "table" then grant(topics, result, granted) end
      end
    end
  end
end

-- Records. What is found of each is a table of what is to be shown, with places for all that has one.

local function note(record, name, value, from, to)
  table.insert(record.fields, { name = name, value = value, from = from or record.from, to = to })
end

local function note_state(record, old, state, topic, from)
  local before = {}
  local is_whole = not old or (topic.channel.is_whole and topic.channel.is_whole(old, state))
  for _, field in ipairs(is_whole and {} or topic.channel.fields(old, topic)) do before[field[1]] = field[2] end
  for _, field in ipairs(topic.channel.fields(state, topic)) do
    if before[field[1]] ~= field[2] then note(record, field[1], field[2], from) end
  end
end

local function note_extra(record, extra, topic)
  if not extra then return end
  if extra.checksum then note(record, "checksum", extra.checksum) end
  record.levels = {}
  for _, level in ipairs(extra.levels) do
    table.insert(record.levels, {
      side = level.side == "bids" and "bid" or "ask",
      price = decimal(level.price, topic.price_exponent),
      size = decimal(level.size, topic.size_exponent),
      from = level.from, to = level.to, is_implied = level.is_implied,
    })
  end
end

local function read_gap(reader, record)
  record.kind = "gap"
  local from = reader.at
  local prev_seq = reader:number()
  note(record, "prev_seq", uint64(prev_seq), from, reader.at)
  from = reader.at
  local seq = unsigned64(add(prev_seq, reader:positive("step")))
  record.seq = integer(seq)
  note(record, "seq", uint64(seq), from, reader.at)
  from = reader.at
  note(record, "ts_event", int64(reader:time()), from, reader.at)
end

local function read_snapshot(reader, record, topic, merged)
  record.kind = "snapshot"
  local from = reader.at
  local seq = reader:number()
  record.seq = integer(seq)
  note(record, "seq", uint64(seq), from, reader.at)
  if merged then
    note(record, "prev_seq", uint64(merged.prev_seq))
    note(record, "n", small(merged.n))
  end
  from = reader.at
  local ts_event = reader:time()
  note(record, "ts_event", int64(ts_event), from, reader.at)
  from = reader.at
  note(record, "epoch", reader:text("epoch"), from, reader.at)
  from = reader.at
  local state, extra = topic.channel.snapshot(reader, topic)
  note_state(record, nil, state, topic, from)
  note_extra(record, extra, topic)
  topic.seq, topic.ts_event, topic.state = seq, ts_event, state
end

local function read_update(reader, record, topic, flags)
  record.kind = "update"
  local from = reader.at
  local check = reader:byte()
  note(record, "check", check, from, reader.at)
  from = reader.at
  local step = is_set(flags, STEP) and reader:positive("step") or big(1)
  local n
  if is_set(flags, MERGED) then n = small(reader:positive("n", 32)) end
  local time_at = reader.at
  local time = reader:number(63)
  local body = reader.at
  local state, extra = topic.channel.update(reader, topic, topic.state, flags)

  if not topic.seq then
    record.missed = "its topic's snapshot is not known: the values that it leads to cannot be told"
    return
  end
  local seq = unsigned64(add(topic.seq, step))
  if check_of(seq) ~= check then
    record.missed = string.format("a step of %s and check %d do not follow %s: updates are missing before it",
      integer(step), check, integer(topic.seq))
    topic.seq, topic.state = nil, topic.channel.empty
    return
  end
  record.seq = integer(seq)
  note(record, "seq", uint64(seq), from, time_at)
  note(record, "prev_seq", uint64(topic.seq), from, time_at)
  if n and n > 1 then note(record, "n", n, from, time_at) end
  local ts_event = is_set(flags, BACKWARDS) and subtract(topic.ts_event, time) or add(topic.ts_event, time)
  note(record, "ts_event", int64(ts_event), time_at, body)
  note_state(record, topic.state, state, topic, body)
  note_extra(record, extra, topic)
  topic.seq, topic.ts_event, topic.state = seq, ts_event, state
end

local function read_records(topics, bytes, records)
  local reader = reader_of(bytes)
  local merged
  while reader.at < #bytes do
    local record = { from = reader.at, fields = {} }
    local first = reader:number(34)
    local form = first[1] % 4
    local number = small(halved(halved(first)))
    local topic = topics[number]
    if not topic then
      undecoded(record.from, string.format("the answer that grants topic %d is not in this capture", number))
    end
    record.topic, record.channel, record.symbol = number, topic.name, topic.symbol
    note(record, "topic", number, record.from, reader.at)
    if merged and (merged.topic ~= topic or form ~= 2) then fault(record.from, NO_SNAPSHOT) end
    table.insert(records, record)
    local kind = 128 + (form == 1 and 1 or 0)
    if form == 3 then
      local at = reader.at
      kind = reader:byte()
      if kind > 1 and kind < 128 then fault(at, "there is no kind " .. kind) end
      local unknown = 0
      for flag = CHECKSUM, 6 do
        if kind >= 128 and is_set(kind, flag) and not topic.channel.flags[flag] then unknown = unknown + 2 ^ flag end
      end
      if unknown > 0 then meaningless(at, unknown) end
    end
    if form == 2 then
      read_snapshot(reader, record, topic, merged)
      merged = nil
    elseif kind == 0 then
      read_gap(reader, record)
    elseif kind == 1 then
      record.kind = "prefix"
      merged = { topic = topic, prev_seq = reader:number(), n = reader:number(32) }
      note(record, "prev_seq", uint64(merged.prev_seq))
      note(record, "n", small(merged.n))
    else
      read_update(reader, record, topic, kind - 128)
    end
    record.to = reader.at
  end
  if merged then fault(#bytes, NO_SNAPSHOT) end
end

-- What Wireshark shows.

local fields = {
  topic = ProtoField.uint32("tickwire.topic", "topic"),
  kind = ProtoField.string("tickwire.kind", "kind"),
  channel = ProtoField.string("tickwire.channel", "channel"),
  symbol = ProtoField.string("tickwire.symbol", "symbol"),
  check = ProtoField.uint8("tickwire.check", "check"),
  seq = ProtoField.uint64("tickwire.seq", "seq"),
  prev_seq = ProtoField.uint64("tickwire.prev_seq", "prev_seq"),
  n = ProtoField.uint32("tickwire.n", "n"),
  ts_event = ProtoField.int64("tickwire.ts_event", "ts_event (µs)"),
  epoch = ProtoField.string("tickwire.epoch", "epoch"),
  checksum = ProtoField.uint32("tickwire.checksum", "checksum"),
}
local TEXTS = { "bid", "bid_size", "ask", "ask_size", "price", "size", "side", "id", "last", "last_size", "start", "open",
  "high", "low", "close", "volume", "notional", "trades", "final", "state", "reason" }
for _, name in ipairs(TEXTS) do fields[name] = ProtoField.string("tickwire." .. name, name) end

local record_field = ProtoField.bytes("tickwire.record", "Record")
local level_fields = {
  whole = ProtoField.string("tickwire.level", "level"),
  side = ProtoField.string("tickwire.level.side", "side"),
  price = ProtoField.string("tickwire.level.price", "price"),
  size = ProtoField.string("tickwire.level.size", "size"),
}

local all = { record_field, level_fields.whole, level_fields.side, level_fields.price, level_fields.size }
for _, field in pairs(fields) do table.insert(all, field) end
tickwire.fields = all

local experts = {
  malformed = ProtoExpert.new("tickwire.malformed", "no record", expert.group.MALFORMED, expert.severity.ERROR),
  undecoded = ProtoExpert.new("tickwire.undecoded", "cannot be read", expert.group.UNDECODED, expert.severity.WARN),
  missed = ProtoExpert.new("tickwire.missed", "updates are missing", expert.group.SEQUENCE, expert.severity.WARN),
}
tickwire.experts = { experts.malformed, experts.undecoded, experts.missed }

local function show_record(tvb, tree, record)
  local to = record.to or tvb:len()
  local range = tvb(record.from, to - record.from)
  local branch = tree:add(record_field, range)
  local title = string.format("%s %s %s", record.channel, record.symbol, record.kind or "record")
  branch:set_text(record.seq and title .. " " .. record.seq or title)
  branch:add(fields.channel, range, record.channel):set_generated()
  branch:add(fields.symbol, range, record.symbol):set_generated()
  if record.kind then branch:add(fields.kind, range, record.kind) end
  for _, field in ipairs(record.fields) do
    branch:add(fields[field.name], tvb(field.from, (field.to or to) - field.from), field.value)
  end
  for _, level in ipairs(record.levels or {}) do
    local place = level.from and tvb(level.from, level.to - level.from) or range
    local text = string.format("%s %s × %s", level.side, level.price, level.size)
    local item = branch:add(level_fields.whole, place, text)
    if level.is_implied then
      item:append_text(" (falls past the depth)")
      item:set_generated()
    end
    item:add(level_fields.side, place, level.side)
    item:add(level_fields.price, place, level.price)
    item:add(level_fields.size, place, level.size)
  end
  if record.missed then branch:add_proto_expert_info(experts.missed, record.missed) end
end

local function look_at(pinfo, bytes)
  local seen = { records = {} }
  local is_read, wrong = pcall(read_records, conversation_of(pinfo), bytes, seen.records)
  if not is_read then
    -- A fault of this file is told as one, and stops no dissection either.
    if type(wrong) ~= "table" then
      wrong = { offset = 0, kind = "undecoded", text = "a fault of the dissector: " .. tostring(wrong) }
    end
    seen.wrong = wrong
    -- What it may have been is not known: its topic goes on with the next snapshot.
    local last = seen.records[#seen.records]
    local topic = last and not last.to and conversation_of(pinfo)[last.topic]
    if topic then topic.seq, topic.state = nil, topic.channel.empty end
  end
  return seen
end

local INFO_RECORDS_MAX = 4

local function show(tvb, pinfo, tree, seen)
  local titles = {}
  for at, record in ipairs(seen.records) do
    show_record(tvb, tree, record)
    if at <= INFO_RECORDS_MAX then
      table.insert(titles, string.format("%s %s %s", record.channel, record.symbol, record.seq or record.kind or "?"))
    end
  end
  if #seen.records > INFO_RECORDS_MAX then table.insert(titles, string.format("… %d records", #seen.records)) end
  if seen.wrong then
    local text = string.format("at byte %d: %s", seen.wrong.offset, seen.wrong.text)
    tree:add_proto_expert_info(experts[seen.wrong.kind], text)
    table.insert(titles, seen.wrong.kind)
  end
  pinfo.cols.info:append(" [" .. table.concat(titles, ", ") .. "]")
end

local json = Dissector.get("json")

-- Text has no mark of its own here, and needs none: `[` and `{` would begin records of form 3, and what follows them in
-- JSON is none of that form's kinds: 0, 1, and 128 or more.
local function is_text(bytes)
  local second = bytes:byte(2)
  return bytes:find("^[%[{]") and second and second > 1 and second < 128
end

function tickwire.dissector(tvb, pinfo, root)
  local bytes = tvb:raw()
  pinfo.cols.protocol = "Tickwire"
  local tree = root:add(tickwire, tvb())
  if is_text(bytes) then
    if not pinfo.visited then take_answers(conversation_of(pinfo), bytes) end
    json:call(tvb, pinfo, tree)
    return tvb:len()
  end
  local key = string.format("%d|%d|%d", pinfo.number, tvb:offset(), tvb:len())
  if not pinfo.visited or not found[key] then found[key] = look_at(pinfo, bytes) end
  show(tvb, pinfo, tree, found[key])
  return tvb:len()
end

DissectorTable.get("ws.protocol"):add("tickwire.v1.bin", tickwire)

-- Wireshark knows a WebSocket's subprotocol and port by its handshake alone: without one, it asks who would take it.
tickwire.prefs.port = Pref.uint("Server's port", 0,
  "Take WebSockets of this port for tickwire.v1.bin where their handshake is not in the capture; 0: none")

tickwire:register_heuristic("ws", function(tvb, pinfo, tree)
  local port = tickwire.prefs.port
  if port == 0 or (pinfo.src_port ~= port and pinfo.dst_port ~= port) then return false end
  tickwire.dissector(tvb, pinfo, tree)
  return true
end)
