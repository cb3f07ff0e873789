/* The official client as people use it.  Prints one JSON line of what it saw. */
import OpenAI, { RateLimitError } from "openai";

const [url, key, calls] = process.argv.slice(2);
const said = { retries: 0, passed: 0 };

/* One retry: had it not waited as told, the call would be refused again. */
const client = new OpenAI({
	baseURL: `${url}/v1`, apiKey: key, maxRetries: 1,
	fetch: async (to, init) => {
		const answer = await fetch(to, init);
		if (answer.status === 429)
			said.retries++;
		return answer;
	},
});
const ask = (content, options) => client.chat.completions.create({
	model: "m1", max_tokens: 16, messages: [{ role: "user", content }],
}, options);

for (let i = 0; i < Number(calls); i++) {
	await ask(`hello ${i}`);
	said.passed++;
}
let streamed = 0;
for await (const part of await client.chat.completions.create({
	model: "m1", max_tokens: 16, stream: true,
	messages: [{ role: "user", content: "hello" }],
}))
	streamed += part.choices.length;
said.streamed = streamed > 1;

/* What cannot pass is not tried again. */
const before = said.retries;
try {
	await ask("x".repeat(40000));
} catch (e) {
	said.large = e instanceof RateLimitError && e.code;
}
said.large_tries = said.retries - before;
said.retries = before;

/* Without retries the error is the dialect's. */
for (let i = 0; said.code === undefined && i < 20; i++)
	try {
		await ask("hello", { maxRetries: 0 });
	} catch (e) {
		said.code = e instanceof RateLimitError && e.code;
		said.wait = Number(e.headers.get("retry-after"));
	}
console.log(JSON.stringify(said));
