#ifndef TESTS_SIM_JSON_H
#define TESTS_SIM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A strict reader of JSON for the simulated players: RFC 8259 text into an array of nodes, without
// copies. Strings are raw (escapes are checked, not resolved).

enum { SIM_JSON_NODES = 65536, SIM_JSON_DEPTH = 12 };

struct sim_json_node {
    char kind;          // { [ " 0 (number) t f n
    uint32_t from, len; // in the text; of strings without quotes
    uint32_t next;      // node behind this one and all within it
};

struct sim_json {
    const char *text;
    size_t len, at;
    unsigned depth;
    uint32_t count;
    struct sim_json_node nodes[SIM_JSON_NODES]; // an object's members: key, value, key, value, …
};

// Node 0 is the whole. False: not JSON, or out of the bounds above.
bool sim_json_read(struct sim_json *json, const char *text, size_t len);

// The member's value, or 0 if it is missing (or the node is no object).
uint32_t sim_json_get(const struct sim_json *json, uint32_t object, const char *key);
// The first element or member key within, and the end: for (i = node + 1; i < nodes[node].next; …).
static inline uint32_t sim_json_end(const struct sim_json *json, uint32_t node)
{
    return json->nodes[node].next;
}
bool sim_json_is(const struct sim_json *json, uint32_t node, const char *text);
// A whole number; `fallback` if the node is 0; *bad if it is anything else.
int64_t sim_json_int(const struct sim_json *json, uint32_t node, int64_t fallback, bool *bad);

#endif
