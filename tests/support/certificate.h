#ifndef TESTS_SUPPORT_CERTIFICATE_H
#define TESTS_SUPPORT_CERTIFICATE_H

// A certificate authority of its own and a certificate for 127.0.0.1, valid for two days, in the
// directory: NAME-ca.pem and NAME.pem (certificate and key in one file). Aborts if it cannot.
void test_certificate_make(const char *directory, const char *name);

#endif
