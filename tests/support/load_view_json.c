#include "tests/support/load_view_internal.h"

#include "libcommon/base/id.h"

#include <string.h>

// --- JSON ----------------------------------------------------------------------------------------

// A strict reader of one message; `bad` once something is not as it should be.
struct cursor {
    const char *at, *end;
    bool bad;
};

struct text {
    const char *data;
    size_t len;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

static bool next_is(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->bad || c->at >= c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static void expect(struct cursor *c, char wanted)
{
    if (!next_is(c, wanted))
        c->bad = true;
}

// The raw text between the quotes, escapes as they stand.
static struct text string(struct cursor *c)
{
    expect(c, '"');
    const char *from = c->at;
    while (!c->bad && c->at < c->end && *c->at != '"') {
        if ((uint8_t)*c->at < 0x20)
            c->bad = true;
        c->at += *c->at == '\\' ? 2 : 1;
    }
    if (c->bad || c->at >= c->end) {
        c->bad = true;
        return (struct text){from, 0};
    }
    return (struct text){from, (size_t)(c->at++ - from)};
}

static bool is(struct text text, const char *word)
{
    size_t len = strlen(word);
    return text.len == len && memcmp(text.data, word, len) == 0;
}

static int64_t integer(struct cursor *c)
{
    bool negative = next_is(c, '-');
    int64_t value = 0;
    const char *from = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        value = value * 10 + (*c->at - '0');
    if (c->at == from || c->at - from > 18)
        c->bad = true;
    return negative ? -value : value;
}

static bool literal(struct cursor *c, const char *word)
{
    size_t len = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

static bool boolean(struct cursor *c)
{
    if (literal(c, "true"))
        return true;
    if (!literal(c, "false"))
        c->bad = true;
    return false;
}

enum { DEPTH_MAX = 32 };

static void skip_plain(struct cursor *c)
{
    if (c->at < c->end && *c->at == '"') {
        (void)string(c);
    } else if (!literal(c, "true") && !literal(c, "false") && !literal(c, "null")) {
        (void)integer(c);
        if (c->at < c->end && *c->at == '.') {
            c->at++;
            (void)integer(c);
        }
    }
}

// Steps over any value.
static void skip(struct cursor *c)
{
    char closing[DEPTH_MAX];
    int depth = 0;
    do {
        skip_space(c);
        if (c->at >= c->end) {
            c->bad = true;
        } else if (*c->at == '{' || *c->at == '[') {
            closing[depth++] = *c->at == '{' ? '}' : ']';
            c->at++;
            c->bad |= depth == DEPTH_MAX;
            if (!c->bad && next_is(c, closing[depth - 1]))
                depth--;
            else if (!c->bad && closing[depth - 1] == '}') {
                (void)string(c);
                expect(c, ':');
                continue;
            } else
                continue;
        } else {
            skip_plain(c);
        }
        // After a value: as many ends as there are, then perhaps the next one.
        while (!c->bad && depth > 0 && !next_is(c, ',')) {
            expect(c, closing[--depth]);
            if (depth == 0)
                return;
        }
        if (!c->bad && depth > 0 && closing[depth - 1] == '}') {
            (void)string(c);
            expect(c, ':');
        }
    } while (!c->bad && depth > 0);
}

// The next member of an object that has been opened; false at its end.
static bool member(struct cursor *c, bool *first, struct text *key)
{
    if (c->bad || next_is(c, '}'))
        return false;
    if (!*first)
        expect(c, ',');
    *first = false;
    *key = string(c);
    expect(c, ':');
    return !c->bad;
}

static bool element(struct cursor *c, bool *first)
{
    if (c->bad || next_is(c, ']'))
        return false;
    if (!*first)
        expect(c, ',');
    *first = false;
    return !c->bad;
}

static void hex(struct cursor *c, int32_t *q, int32_t *r)
{
    expect(c, '[');
    *q = (int32_t)integer(c);
    expect(c, ',');
    *r = (int32_t)integer(c);
    expect(c, ']');
}

// "unit_0123456789abc": the prefix is whatever stands before the last underscore.
static uint64_t public_id(struct cursor *c)
{
    struct text text = string(c);
    uint64_t id = 0;
    if (c->bad || text.len <= MM_ID_DIGITS ||
        mm_id_parse(text.data + text.len - MM_ID_DIGITS, MM_ID_DIGITS, "", &id) != MM_OK || id == 0)
        c->bad = true;
    return id;
}

// --- an update -----------------------------------------------------------------------------------

static void entity_data(struct cursor *c, struct load_entity *entity)
{
    struct text key;
    bool first = true;
    expect(c, '{');
    while (member(c, &first, &key)) {
        if (is(key, "target") && !literal(c, "null")) {
            hex(c, &entity->target_q, &entity->target_r);
            entity->has_target = true;
        } else if (!is(key, "target")) {
            skip(c);
        }
    }
}

static void read_entity(struct cursor *c, const struct load_view *view, struct load_entity *entity)
{
    struct text key;
    bool first = true;
    *entity = (struct load_entity){0};
    expect(c, '{');
    while (member(c, &first, &key)) {
        if (is(key, "id")) {
            entity->id = public_id(c);
        } else if (is(key, "pos")) {
            hex(c, &entity->q, &entity->r);
            entity->placed = true;
        } else if (is(key, "owner") && !literal(c, "null")) {
            struct text owner = string(c);
            entity->own = view->empire[0] && is(owner, view->empire);
        } else if (is(key, "data")) {
            entity_data(c, entity);
        } else if (!is(key, "owner")) {
            skip(c);
        }
    }
    c->bad |= entity->id == 0;
}

static void take_entities(struct cursor *c, struct load_view *view, bool appeared,
                          struct load_message *message)
{
    struct load_entity entity;
    bool first = true;
    expect(c, '[');
    while (element(c, &first)) {
        read_entity(c, view, &entity);
        c->bad |= appeared && !entity.placed;
        if (c->bad)
            return;
        load_view_entity(view, &entity, appeared, message);
    }
}

static void take_disappeared(struct cursor *c, struct load_view *view, struct load_message *message)
{
    bool first = true;
    expect(c, '[');
    while (element(c, &first)) {
        load_view_take_away(view, public_id(c));
        message->entities++;
    }
}

// The cursor stands behind {"type":"update".
static void take_update(struct cursor *c, struct load_view *view, struct load_message *message)
{
    struct text key;
    bool first = false, ticked = false, names = false, more = false;
    while (member(c, &first, &key)) {
        names |= is(key, "empires");
        more |= !is(key, "empires") && !is(key, "tick");
        if (is(key, "tick")) {
            message->tick = (uint64_t)integer(c);
            ticked = true;
        } else if (is(key, "full")) {
            message->full = boolean(c);
        } else if (is(key, "deferred")) {
            message->deferred = integer(c) > 0;
        } else if (is(key, "appeared") || is(key, "changed")) {
            take_entities(c, view, key.data[0] == 'a', message);
        } else if (is(key, "disappeared")) {
            take_disappeared(c, view, message);
        } else {
            skip(c);
        }
    }
    message->only_names = names && !more;
    if (c->bad || !ticked)
        c->bad = true;
    else
        load_view_end_update(view, message);
}

// --- the other messages --------------------------------------------------------------------------

static void copy(char *out, size_t capacity, struct text text)
{
    if (text.len >= capacity)
        return;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
}

static void take_payload(struct cursor *c, struct load_view *view, struct load_message *message)
{
    struct text key;
    bool first = true;
    expect(c, '{');
    while (member(c, &first, &key)) {
        if (is(key, "seq")) {
            message->seq = (uint64_t)integer(c);
        } else if (is(key, "next_seq")) {
            message->next_seq = (uint64_t)integer(c);
        } else if (is(key, "resumed")) {
            message->resumed = boolean(c);
        } else if (is(key, "resume")) {
            copy(view->resume, sizeof view->resume, string(c));
        } else if (is(key, "empire_id")) {
            copy(view->empire, sizeof view->empire, string(c));
        } else if (is(key, "code") || is(key, "reason")) {
            copy(message->code, sizeof message->code, string(c));
        } else {
            skip(c);
        }
    }
}

// What is remembered is not in sight; who was away may learn it from this alone.
static void take_remembered(struct cursor *c, struct load_view *view)
{
    struct load_entity entity;
    read_entity(c, view, &entity);
    if (!c->bad)
        load_view_take_away(view, entity.id);
}

static void take_other(struct cursor *c, struct load_view *view, struct text type,
                       struct load_message *message)
{
    if (is(type, "welcome")) {
        message->news = LOAD_NEWS_WELCOME;
        view->resume[0] = '\0';
    } else if (is(type, "ack")) {
        message->news = LOAD_NEWS_ACK;
    } else if (is(type, "error")) {
        message->news = LOAD_NEWS_ERROR;
    }
    struct text key;
    bool first = false;
    while (member(c, &first, &key)) {
        if ((message->news != LOAD_NEWS_OTHER || is(type, "going_away")) && is(key, "payload"))
            take_payload(c, view, message);
        else if (is(type, "entity_snapshot") && is(key, "entity"))
            take_remembered(c, view);
        else if (is(type, "entity_cached") && is(key, "entity_id"))
            load_view_take_away(view, public_id(c));
        else if (!is(type, "explored_hexes") || !is(key, "reset"))
            skip(c);
        else if (boolean(c))
            load_view_forget(view);
    }
    if (c->bad)
        return;
    if (is(type, "resumed"))
        (void)load_view_resumed(view);
    else if (message->news == LOAD_NEWS_WELCOME && !message->resumed)
        load_view_restart(view);
    else if (message->news == LOAD_NEWS_WELCOME && !view->complete)
        (void)load_view_fault(view, "a welcome resumes what was never told");
}

bool load_view_take_text(struct load_view *view, const char *text, size_t len,
                         struct load_message *message)
{
    struct cursor c = {text, text + len, false};
    *message = (struct load_message){.news = LOAD_NEWS_OTHER};
    expect(&c, '{');
    struct text key = string(&c);
    expect(&c, ':');
    struct text type = string(&c);
    if (c.bad || !is(key, "type"))
        return load_view_fault(view, "a message that does not begin with its type: %.60s", text);
    if (is(type, "update")) {
        message->news = LOAD_NEWS_UPDATE;
        take_update(&c, view, message);
    } else {
        take_other(&c, view, type, message);
    }
    skip_space(&c);
    if (c.bad || c.at != c.end)
        return load_view_fault(view, "broken JSON at byte %zu of %zu: %.60s", (size_t)(c.at - text),
                               len, text);
    return view->fault[0] == '\0';
}
