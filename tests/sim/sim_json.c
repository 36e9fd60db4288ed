#include "tests/sim/sim_json.h"

#include <string.h>

static void blanks(struct sim_json *json)
{
    while (json->at < json->len && (json->text[json->at] == ' ' || json->text[json->at] == '\n' ||
                                    json->text[json->at] == '\r' || json->text[json->at] == '\t'))
        json->at++;
}

static bool take(struct sim_json *json, char c)
{
    blanks(json);
    if (json->at >= json->len || json->text[json->at] != c)
        return false;
    json->at++;
    return true;
}

static bool string(struct sim_json *json, struct sim_json_node *node)
{
    if (!take(json, '"'))
        return false;
    node->kind = '"';
    node->from = (uint32_t)json->at;
    while (json->at < json->len && json->text[json->at] != '"') {
        if ((unsigned char)json->text[json->at] < 0x20)
            return false;
        json->at += json->text[json->at] == '\\' ? 2 : 1;
    }
    if (json->at >= json->len)
        return false;
    node->len = (uint32_t)json->at++ - node->from;
    return true;
}

static bool number(struct sim_json *json, struct sim_json_node *node)
{
    node->kind = '0';
    node->from = (uint32_t)json->at;
    if (json->at < json->len && json->text[json->at] == '-')
        json->at++;
    size_t digits = json->at;
    while (json->at < json->len && json->text[json->at] >= '0' && json->text[json->at] <= '9')
        json->at++;
    size_t count = json->at - digits;
    node->len = (uint32_t)json->at - node->from;
    return count > 0 && (count == 1 || json->text[digits] != '0');
}

static bool word(struct sim_json *json, struct sim_json_node *node, const char *text)
{
    size_t len = strlen(text);
    if (json->len - json->at < len || memcmp(json->text + json->at, text, len) != 0)
        return false;
    node->kind = text[0];
    node->from = (uint32_t)json->at;
    node->len = (uint32_t)len;
    json->at += len;
    return true;
}

static bool value(struct sim_json *json);

static bool members(struct sim_json *json, bool keyed, char close)
{
    if (take(json, close))
        return true;
    do {
        if (keyed) {
            if (json->count == SIM_JSON_NODES)
                return false;
            struct sim_json_node *key = &json->nodes[json->count++];
            if (!string(json, key) || !take(json, ':'))
                return false;
            key->next = json->count;
        }
        if (!value(json))
            return false;
    } while (take(json, ','));
    return take(json, close);
}

static bool value(struct sim_json *json)
{
    blanks(json);
    if (json->count == SIM_JSON_NODES || json->at >= json->len || json->depth == SIM_JSON_DEPTH)
        return false;
    struct sim_json_node *node = &json->nodes[json->count++];
    char c = json->text[json->at];
    bool fine;
    if (c == '{' || c == '[') {
        node->kind = c;
        node->from = (uint32_t)json->at++;
        json->depth++;
        fine = members(json, c == '{', c == '{' ? '}' : ']');
        json->depth--;
        node->len = (uint32_t)json->at - node->from;
    } else if (c == '"') {
        fine = string(json, node);
    } else if (c == 't' || c == 'f' || c == 'n') {
        fine = word(json, node, c == 't' ? "true" : (c == 'f' ? "false" : "null"));
    } else {
        fine = number(json, node);
    }
    node->next = json->count;
    return fine;
}

bool sim_json_read(struct sim_json *json, const char *text, size_t len)
{
    json->text = text;
    json->len = len;
    json->at = json->depth = json->count = 0;
    if (!value(json))
        return false;
    blanks(json);
    return json->at == len;
}

bool sim_json_is(const struct sim_json *json, uint32_t node, const char *text)
{
    const struct sim_json_node *n = &json->nodes[node];
    return strncmp(json->text + n->from, text, n->len) == 0 && text[n->len] == '\0';
}

uint32_t sim_json_get(const struct sim_json *json, uint32_t object, const char *key)
{
    if (json->nodes[object].kind != '{')
        return 0;
    for (uint32_t i = object + 1; i < json->nodes[object].next; i = json->nodes[i + 1].next)
        if (sim_json_is(json, i, key))
            return i + 1;
    return 0;
}

int64_t sim_json_int(const struct sim_json *json, uint32_t node, int64_t fallback, bool *bad)
{
    if (node == 0)
        return fallback;
    const struct sim_json_node *n = &json->nodes[node];
    if (n->kind != '0' || n->len > 18) {
        *bad = true;
        return fallback;
    }
    int64_t sum = 0;
    bool minus = json->text[n->from] == '-';
    for (uint32_t i = minus; i < n->len; i++)
        sum = sum * 10 + (json->text[n->from + i] - '0');
    return minus ? -sum : sum;
}
