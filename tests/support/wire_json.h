#ifndef TESTS_SUPPORT_WIRE_JSON_H
#define TESTS_SUPPORT_WIRE_JSON_H

#include "tests/support/wire_decoder.h"

// Turns the binary encoding's messages into the JSON messages that they stand for.

struct wire_type {
    const char *name;
    const char *kind; // "unit", …
    int64_t health;
};

// What the message `map` says.
struct wire_map {
    const struct wire_type *types;
    uint32_t type_count;
    const char *const *terrains;
    uint32_t terrain_count;
};

struct wire_json;

// `map` is borrowed as long as it is in use.
struct wire_json *wire_json_new(const struct wire_map *map);
void wire_json_free(struct wire_json *json);

// The message as JSON text, valid until the next call. NULL: it is at fault.
const char *wire_json_take(struct wire_json *json, const uint8_t *data, size_t len);
const char *wire_json_fault(const struct wire_json *json);

#endif
