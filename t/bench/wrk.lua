-- Load of `make bench` for wrk. Arguments after --: what (push|pull|pair|get), file of tokens, then what it needs:
--   push N    N operations a push, each with an op_id of its own
--   pull SEQ  a page of 100 operations after SEQ
-- Prints one line "result: requests microseconds errors p50 p99" (latencies in microseconds) that bench.pl reads.
local thread_count = 0

function setup(thread)
  thread_count = thread_count + 1
  thread:set("thread_number", thread_count)
end

local tokens, make, count, run = {}, nil, 0, 0
local payload = string.rep("verstak ", 32)

local function operation(number)
  return string.format(
    '{"op_id":"w%d-%d-%d","entity_type":"note","entity_id":"Notes/%d.md","op_type":"update",' ..
    '"payload_json":"{\\"text\\":\\"%s\\"}","client_sequence":%d,"last_seen_server_seq":0,"created_at":"2026-11-22T10:15:00Z"}',
    run, thread_number, number, number % 1000, payload, number)
end

local function send(path, body)
  count = count + 1
  local token = tokens[(count * 7 + thread_number * 13) % #tokens + 1]
  return wrk.format("POST", path, { Authorization = "Bearer " .. token, ["Content-Type"] = "application/json" }, body)
end

local kinds = {
  push = function(n)
    return function()
      local ops = {}
      for i = 1, n do ops[i] = operation(count * n + i) end
      return send("/api/v1/sync/push", '{"ops":[' .. table.concat(ops, ",") .. "]}")
    end
  end,
  pull = function(sequence)
    local body = string.format('{"since_sequence":%d,"page_limit":100}', sequence)
    return function() return send("/api/v1/sync/pull", body) end
  end,
  pair = function()
    return function()
      return wrk.format("POST", "/api/client/pair", {}, '{"login":"bench","password":"bench password","device_name":"wrk"}')
    end
  end,
}

function init(args)
  for line in io.lines(args[2]) do tokens[#tokens + 1] = line end
  run = os.time() % 100000 * 1000 + math.floor(os.clock() * 1e6) % 1000
  make = kinds[args[1]](tonumber(args[3] or 0))
end

function request() return make() end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("result: %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
