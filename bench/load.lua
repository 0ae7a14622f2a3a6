-- Webhooks for wrk. Every request brings alerts never seen before: the number is part of labels and fingerprint.
-- bench/payload.py builds the same bodies; a fingerprint is spread over the whole index, as a real one is.
local size = tonumber(os.getenv("BENCH_SIZE"))
local path = os.getenv("BENCH_PATH")
local number = tonumber(os.getenv("BENCH_FIRST"))
local headers = {
  ["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN"),
  ["Content-Type"] = "application/json",
}

local function one(n)
  return string.format('{"status":"firing","labels":{"alertname":"PaymentGatewayTimeout","service":"payments",' ..
    '"client":"acme","gateway":"g%d","severity":"critical","instance":"host-%d","region":"eu-west-1","job":"payments"},' ..
    '"annotations":{"summary":"Payment gateway times out",' ..
    '"description":"p95 is 10 s on host %d, more than 2.5 s for 2 minutes",' ..
    '"runbook_url":"https://runbooks.example/PaymentGatewayTimeout"},"startsAt":"2026-11-22T03:51:09.684Z",' ..
    '"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example/graph?g0.expr=x",' ..
    '"fingerprint":"%08x%08x"}',
    n % 5, n, n, (n * 1640531) % 4294967296, n)
end

function request()
  local parts = {}
  for i = 1, size do number = number + 1; parts[i] = one(number) end
  local body = '{"receiver":"bridge","status":"firing","alerts":[' .. table.concat(parts, ",") .. '],"groupLabels":{},' ..
    '"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager.example","version":"4",' ..
    '"groupKey":"{}:{}","truncatedAlerts":0}'
  return wrk.format("POST", path, headers, body)
end
