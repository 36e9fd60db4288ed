#include "tests/support/certificate.h"

#include "tests/support/process.h"

#include <stddef.h>

enum { OPENSSL_MS = 60000 };

void test_certificate_make(const char *directory, const char *name)
{
    static const char script[] =
        "set -e; cd \"$1\"; n=$2; ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "openssl req -x509 $ec -keyout $n-ca.key -out $n-ca.pem -days 2 "
        "-subj \"/CN=authority of $n\"\n"
        "openssl req $ec -keyout $n.key -out $n.csr -subj /CN=127.0.0.1\n"
        "openssl x509 -req -in $n.csr -CA $n-ca.pem -CAkey $n-ca.key -CAcreateserial -days 2 "
        "-out $n.crt\n"
        "cat $n.crt $n.key > $n.pem\n";
    const char *argv[] = {"sh", "-c", script, "sh", directory, name, NULL};
    struct test_process *process = test_process_start(argv, NULL);
    if (test_process_wait(process, OPENSSL_MS) != 0)
        test_fail("openssl: %s", test_process_log(process));
    test_process_free(process);
}
