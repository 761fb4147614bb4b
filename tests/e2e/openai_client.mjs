// SPDX-License-Identifier: Apache-2.0
// The official client, as anybody would use it. Reads its task from the environment, writes one JSON line a case.
import OpenAI from 'openai'

const { BASE, KEYS } = process.env
const keys = JSON.parse(KEYS)
const client = (key, more) => new OpenAI({ apiKey: key, baseURL: BASE, maxRetries: 0, ...more })
const ai = client(keys.good)
const model = 'stories'
const messages = [{ role: 'user', content: 'Once upon a time' }]

function say(name, ok, facts) {
  console.log(JSON.stringify({ name, ok, ...facts }))
}
function same(found, expected, what) {
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`${what}: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`)
}
function need(condition, what) {
  if (!condition) throw new Error(what)
}
async function run(name, fn) {
  try {
    say(name, true, { facts: (await fn()) ?? null })
  } catch (e) {
    say(name, false, { error: String(e?.stack ?? e) })
  }
}
// The error that the client makes of a refusal: its class, status, code and type.
async function refusal(name, kind, status, code, call) {
  await run(name, async () => {
    let caught = null
    try {
      const answer = await call()
      if (answer?.[Symbol.asyncIterator]) for await (const _ of answer);
    } catch (e) {
      caught = e
    }
    need(caught, 'nothing was thrown')
    same(caught.status, status, `status of ${caught}`)
    same(caught.constructor.name, kind, 'class')
    if (code) same(caught.code, code, 'code')
    need(caught.message && caught.type, 'message and type')
  })
}

await run('chat', async () => {
  const { data, request_id } = await ai.chat.completions.create({ model, messages, max_tokens: 12, temperature: 0 }).withResponse()
  same(data.usage.completion_tokens, 12, 'completion tokens')
  same(data.choices[0].finish_reason, 'length', 'finish reason')
  need(data.choices[0].message.content.length > 0 && data.object === 'chat.completion', 'content')
  return { id: request_id, usage: data.usage }
})
await run('max_completion_tokens', async () => {
  const { data, request_id } = await ai.chat.completions.create({ model, messages, max_completion_tokens: 5 }).withResponse()
  same(data.usage.completion_tokens, 5, 'completion tokens')
  return { id: request_id, usage: data.usage }
})
await run('stream with usage', async () => {
  const { data, request_id } = await ai.chat.completions
    .create({ model, messages, max_tokens: 20, temperature: 0, stream: true, stream_options: { include_usage: true } }).withResponse()
  let usage = null, text = '', finish = null, afterUsage = 0
  for await (const chunk of data) {
    if (usage) afterUsage++
    usage = chunk.usage ?? usage
    text += chunk.choices[0]?.delta?.content ?? ''
    finish = chunk.choices[0]?.finish_reason ?? finish
    need(!('timings' in chunk), 'timings were not asked for')
  }
  same([finish, afterUsage, usage.completion_tokens], ['length', 0, 20], 'the end of the stream')
  need(text.length > 20, 'text')
  return { id: request_id, usage }
})
await run('stream without usage', async () => {
  const { data, request_id } = await ai.chat.completions
    .create({ model, messages, max_tokens: 20, temperature: 0, stream: true }).withResponse()
  let chunks = 0
  for await (const chunk of data) {
    need(!('usage' in chunk) && chunk.choices.length === 1, `a chunk that was not asked for: ${JSON.stringify(chunk)}`)
    chunks += chunk.choices[0].delta.content ? 1 : 0
  }
  return { id: request_id, usage: { completion_tokens: chunks } }
})
await run('the stream helper', async () => {
  const stream = ai.chat.completions.stream({ model, messages, max_tokens: 8, temperature: 0, stream_options: { include_usage: true } })
  const final = await stream.finalChatCompletion().catch((e) => e)
  // A text cut at max_tokens is an error of this helper's own; any other would be ours.
  need(final.usage?.completion_tokens === 8 || final.constructor.name === 'LengthFinishReasonError', String(final))
})
await run('models', async () => {
  const found = []
  for await (const m of ai.models.list()) found.push(m)
  same(found.map((m) => m.id).sort(), ['slow', model, 'tooled'], 'models')
  same(found[0].object, 'model', 'object')
  same((await ai.models.retrieve(model)).id, model, 'one model')
})
await run('completions', async () => {
  const { data, request_id } = await ai.completions.create({ model, prompt: 'Once', max_tokens: 6, temperature: 0, logprobs: 2 }).withResponse()
  same(data.object, 'text_completion', 'object')
  need(data.choices[0].text.length > 0 && data.choices[0].logprobs, 'text and logprobs')
  return { id: request_id, usage: data.usage }
})
await run('streamed completions', async () => {
  const { data, request_id } = await ai.completions.create({ model, prompt: 'Once', max_tokens: 6, temperature: 0, stream: true }).withResponse()
  let n = 0
  for await (const chunk of data) n += chunk.choices[0]?.text ? 1 : 0
  return { id: request_id, usage: { completion_tokens: n } }
})
await run('seed, stop', async () => {
  const ask = { model, messages, max_tokens: 40, temperature: 1.5, seed: 42 }
  const [a, b] = [await ai.chat.completions.create(ask), await ai.chat.completions.create(ask)]
  same(a.choices[0].message.content, b.choices[0].message.content, 'the same seed')
  const whole = a.choices[0].message.content
  const stop = whole.slice(10, 14)
  const cut = await ai.chat.completions.create({ ...ask, stop: [stop] })
  same(cut.choices[0].message.content, whole.slice(0, whole.indexOf(stop)), 'the text before the stop')
  same(cut.choices[0].finish_reason, 'stop', 'finish reason')
})
await run('logprobs', async () => {
  const { data, request_id } = await ai.chat.completions
    .create({ model, messages, max_tokens: 4, temperature: 0, logprobs: true, top_logprobs: 3 }).withResponse()
  same(data.choices[0].logprobs.content.length, 4, 'a logprob a token')
  same(data.choices[0].logprobs.content[0].top_logprobs.length, 3, 'top logprobs')
  return { id: request_id, usage: data.usage }
})
await run('response_format', async () => {
  const schema = { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'], additionalProperties: false }
  const answer = await ai.chat.completions.create({ model, messages, max_tokens: 60, temperature: 0,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema, strict: true } } })
  same(typeof JSON.parse(answer.choices[0].message.content).a, 'boolean', 'the schema held')
})
// The stories model knows no tools: the engine takes them, and `tooled` calls them.
const tools = [{ type: 'function', function: { name: 'go', parameters: { type: 'object', properties: { to: { type: 'boolean' } }, required: ['to'] } } }]
const tooled = { messages, max_tokens: 60, temperature: 0, tools, tool_choice: 'required', parallel_tool_calls: false }
await run('tools are taken', async () => {
  const { data, request_id } = await ai.chat.completions.create({ model, ...tooled, max_tokens: 5 }).withResponse()
  return { id: request_id, usage: data.usage }
})
await run('tools', async () => {
  const { data, request_id } = await ai.chat.completions.create({ model: 'tooled', ...tooled }).withResponse()
  const call = data.choices[0].message.tool_calls[0].function
  same([call.name, JSON.parse(call.arguments), data.choices[0].finish_reason], ['go', { to: true }, 'tool_calls'], 'the call')
  return { id: request_id, usage: data.usage }
})
await run('tools, streamed', async () => {
  const { data, request_id } = await ai.chat.completions
    .create({ model: 'tooled', ...tooled, stream: true, stream_options: { include_usage: true } }).withResponse()
  let args = '', usage = null
  for await (const chunk of data) {
    args += chunk.choices[0]?.delta?.tool_calls?.[0]?.function?.arguments ?? ''
    usage = chunk.usage ?? usage
  }
  same(JSON.parse(args), { to: true }, 'arguments')
  return { id: request_id, usage }
})
await run('dropped fields', async () => {
  await ai.chat.completions.create({ model, messages, max_tokens: 1, user: 'u', metadata: { a: 'b' }, store: false })
})
await run('abort in the middle', async () => {
  const stop = new AbortController()
  const { data, request_id } = await ai.chat.completions
    .create({ model: 'slow', messages, max_tokens: 400, stream: true }, { signal: stop.signal }).withResponse()
  let n = 0
  for await (const chunk of data) {
    n += chunk.choices[0]?.delta?.content ? 1 : 0
    if (n === 10) stop.abort()
  }
  need(n >= 10 && n < 300, `${n} chunks`)
  return { id: request_id, aborted: n }
})
await run('many at once', async () => {
  const all = await Promise.all([...Array(40)].map(() => ai.chat.completions.create({ model, messages, max_tokens: 10 })))
  same(all.filter((a) => a.usage.completion_tokens === 10).length, 40, 'answers')
})
const ask = { model, messages, max_tokens: 4 }
const streamed = { ...ask, stream: true }
await refusal('401 garbage', 'AuthenticationError', 401, 'invalid_api_key', () => client('sk-x').chat.completions.create(ask))
await refusal('401 revoked', 'AuthenticationError', 401, 'invalid_api_key', () => client(keys.revoked).chat.completions.create(ask))
await refusal('403 scope', 'PermissionDeniedError', 403, 'forbidden', () => client(keys.admin).chat.completions.create(ask))
await refusal('403 model', 'PermissionDeniedError', 403, 'forbidden', () => client(keys.limited).chat.completions.create(ask))
await refusal('404 model', 'NotFoundError', 404, 'model_not_found', () => ai.chat.completions.create({ ...ask, model: 'gpt-4o' }))
await refusal('404 streamed', 'NotFoundError', 404, 'model_not_found', () => ai.chat.completions.create({ ...streamed, model: 'gpt-4o' }))
await refusal('400 field', 'BadRequestError', 400, null, () => ai.chat.completions.create({ ...ask, best_of: 2 }))
await refusal('400 count', 'BadRequestError', 400, null, () => ai.chat.completions.create({ ...streamed, max_tokens: 0 }))
await refusal('400 embeddings of a chat model', 'BadRequestError', 400, null, () => ai.embeddings.create({ model, input: 'x' }))
await refusal('402', 'APIError', 402, 'insufficient_quota', () => client(keys.poor).chat.completions.create(ask))
await refusal('402 streamed', 'APIError', 402, 'insufficient_quota', () => client(keys.poor).chat.completions.create(streamed))
await refusal('413', 'APIError', 413, null, () => ai.chat.completions.create({ ...ask, messages: [{ role: 'user', content: 'x'.repeat(9 << 20) }] }))
await client(keys.rated).chat.completions.create(ask)
await refusal('429', 'RateLimitError', 429, 'rate_limit_exceeded', () => client(keys.rated).chat.completions.create(ask))
await run('429 is retried by the client', async () => {
  const patient = client(keys.patient, { maxRetries: 2 })
  for (let i = 0; i < 31; i++) same((await patient.chat.completions.create({ ...ask, max_tokens: 1 })).usage.completion_tokens, 1, 'tokens')
})
