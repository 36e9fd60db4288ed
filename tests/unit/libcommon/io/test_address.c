// What is taken for an address in settings, and which name a certificate has to carry.

#include "libcommon/io/address.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(address, of_rpc)
{
    static const char *const good[] = {
        "tcp://127.0.0.1:7100", "tcp://auth:7100",     "tcp://0.0.0.0:0",
        "tcp://[::1]:7100",     "tls+tcp://auth:7100", "tls+tcp://[fe80::1]:7100",
        "ipc:///run/a",         "ipc://relative",      "tcp://a.b-c.d_e:65535",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_null(mm_address_rpc_error(good[i]), "%s is refused", good[i]);
    static const char *const bad[] = {
        "",          "auth:7100",      "tcp://",           "tcp://auth",       "tcp://:7100",
        "tcp://a:",  "tcp://a:65536",  "tcp://a:-1",       "tcp://a:07",       "tcp://a:7100/",
        "tcp://a:x", "tcp://::1:7100", "tcp://[::1:7100",  "tcp://a b:7100",   "tcp://a/b:7100",
        "ipc://",    "http://a:7100",  "TCP://a:7100",     "tls+tcp://a",      "tls://a:7100",
        "udp://a:1", "tls+tcp://:1",   " tcp://auth:7100", "tcp://auth:7100 ",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not_null(mm_address_rpc_error(bad[i]), "%s is taken", bad[i]);
}

Test(address, socket_file_has_to_fit)
{
    char url[200];
    snprintf(url, sizeof url, "ipc://%0107d", 0);
    cr_assert_null(mm_address_rpc_error(url));
    snprintf(url, sizeof url, "ipc://%0108d", 0);
    cr_assert_not_null(mm_address_rpc_error(url));
}

Test(address, of_an_http_server)
{
    static const char *const good[] = {"127.0.0.1:7102", ":8080", "[::]:8080", "localhost:0"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_null(mm_address_listen_error(good[i]), "%s is refused", good[i]);
    static const char *const bad[] = {
        "", "8080", "127.0.0.1", "a:", "::1:80", "http://a:80", "a:b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not_null(mm_address_listen_error(bad[i]), "%s is taken", bad[i]);
}

Test(address, names_for_certificates)
{
    char name[16];
    cr_assert(mm_address_tls_name("tls+tcp://world:7110", name, sizeof name));
    cr_assert_str_eq(name, "world");
    cr_assert(mm_address_tls_name("tls+tcp://10.example:7110", name, sizeof name));
    cr_assert_str_eq(name, "10.example");
    cr_assert_not(mm_address_tls_name("tls+tcp://10.0.0.1:7110", name, sizeof name));
    cr_assert_not(mm_address_tls_name("tls+tcp://[::1]:7110", name, sizeof name));
    cr_assert_not(mm_address_tls_name("tcp://world:7110", name, sizeof name));
    cr_assert_not(mm_address_tls_name("tls+tcp://world", name, sizeof name));
    cr_assert_not(mm_address_tls_name("tls+tcp://a-name-far-too-long:1", name, sizeof name));
}
