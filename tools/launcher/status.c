#include "tools/launcher/status.h"

#include "libcommon/base/buf_json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_child(struct mm_buf *buf, const struct child *child)
{
    mm_buf_json_key(buf, child->name);
    MM_BUF_LIT(buf, "{\"state\":");
    mm_buf_json_cstr(buf, child_state_name(child->state));
    mm_buf_printf(buf, ",\"pid\":%d", (int)child->pid);
    if (child->target.port != 0)
        mm_buf_printf(buf, ",\"port\":%u", child->target.port);
    if (child->rpc) {
        MM_BUF_LIT(buf, ",\"rpc\":");
        mm_buf_json_cstr(buf, child->rpc);
    }
    mm_buf_printf(buf, ",\"restarts\":%u,\"log\":", child->restarts);
    mm_buf_json_cstr(buf, child->log_path);
    mm_buf_byte(buf, '}');
}

void status_write(const struct plan *plan, const char *path, const char *state)
{
    if (!path)
        return;
    struct mm_buf buf;
    mm_buf_init(&buf, 1 << 16);
    MM_BUF_LIT(&buf, "{\"state\":");
    mm_buf_json_cstr(&buf, state);
    mm_buf_printf(&buf, ",\"pid\":%d,\"url\":\"http://127.0.0.1:%u/\"", (int)getpid(),
                  plan->players_port);
    mm_buf_printf(&buf, ",\"login_url\":\"http://127.0.0.1:%u\",\"data\":", plan->login_port);
    mm_buf_json_cstr(&buf, plan->data);
    MM_BUF_LIT(&buf, ",\"processes\":{");
    for (unsigned i = 0; i < plan->child_count; i++) {
        if (!plan->children[i].name)
            continue; // a session's place that is free
        if (i > 0)
            mm_buf_byte(&buf, ',');
        write_child(&buf, &plan->children[i]);
    }
    MM_BUF_LIT(&buf, "}}\n");
    if (buf.err != MM_OK || !launcher_write_file(path, 0600, buf.data, buf.len))
        fprintf(stderr, "mmorts-launcher: cannot write %s: %s\n", path, strerror(errno));
    mm_buf_free(&buf);
}
