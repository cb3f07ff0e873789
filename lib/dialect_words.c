/*
 * The names of dialects, for as long as lib/dialect_table.c does not define
 * them: this file goes when that one comes.
 */
#include <sluice/dialect.h>

__attribute__((weak)) const char *const dialect_names[] = { "account",
	"priority", "chunks", "named", "relay", "openai", "anthropic", "azure",
	"groq", "cerebras", "mistral", "together", "fireworks", "nebius",
	"deepseek", "openrouter", "cohere", "gemini", "github", "ietf", NULL };
