-- SPDX-License-Identifier: Apache-2.0
-- wrk: one request of about 1 kB, as a chat client sends it; the sums in a line that gateway.py reads.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.body = '{"model":"bench","messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"'
    .. string.rep("Explain how a power grid works. ", 28) .. '"}],"temperature":0.7,"max_tokens":256}'

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("bench requests=%d seconds=%.6f errors=%d bad=%d p50_us=%.0f p99_us=%.0f\n",
        summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.timeout, e.status,
        latency:percentile(50), latency:percentile(99)))
end
