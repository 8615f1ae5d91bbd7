"""
Addresses by which a server has been made, somewhere, to ask its own network; and good ones that must not suffer.

Every one is tried as it stands, as the end of a redirect, and, where it is about a network address, as what a name
resolves to.
"""

#: What no default configuration asks, by what it tries.
REFUSED = {
    # the scheme
    "file":                     "file:///etc/passwd",
    "file with host":           "file://localhost/etc/passwd",
    "filesystem":               "filesystem:http://example.org/temporary/x",
    "gopher":                   "gopher://example.org:80/_GET",
    "ftp":                      "ftp://example.org/x",
    "dict":                     "dict://example.org:80/x",
    "jar":                      "jar:http://example.org/x!/y",
    "data":                     "data:text/plain,x",
    "netdoc":                   "netdoc:///etc/passwd",
    "unix":                     "http+unix://%2Frun%2Fdocker.sock/x",
    "no scheme":                "//example.org/x",
    "no slashes":               "http:example.org/x",
    "one slash":                "http:/example.org/x",
    "backslashes":              "http:\\\\example.org\\x",
    # the port
    "ssh":                      "http://example.org:22/",
    "redis":                    "http://example.org:6379/",
    "port 0":                   "http://example.org:0/",
    "port over 65535":          "http://example.org:65616/",  # 80, for who counts in 16 bits
    "empty port":               "http://example.org:/",
    "port with plus":           "http://example.org:+80/",
    "two ports":                "http://example.org:80:22/",
    # two readings of the host
    "credentials":              "http://user:secret@example.org/",
    "host in credentials":      "http://example.org@127.0.0.1/",
    "at in credentials":        "http://example.org:80@127.0.0.1:80/",
    "two ats":                  "http://a@b@127.0.0.1/",
    "backslash before at":      "http://example.org\\@127.0.0.1/",
    "space in host":            "http://127.0.0.1 .example.org/",
    "tab in host":              "http://127.0.0.1\t.example.org/",
    "line in host":             "http://example.org\r\nHost: internal/",
    "header in path":           "http://example.org/x HTTP/1.1\r\nX-Evil: 1",
    "nul":                      "http://example.org\0.internal/",
    "percent in host":          "http://127.0.0%2e1/",
    "comma in host":            "http://127.0.0.1,example.org/",
    "no host":                  "http:///x",
    "only a port":              "http://:80/",
    "empty label":              "http://example..org/",
    "final dot":                "http://localhost./",
    "endless host":             "http://" + "a" * 300 + ".org/",
    "endless address":          "http://example.org/" + "a" * 5000,
    # other letters
    "full width digits":        "http://１２７.０.０.１/",
    "circled letters":          "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "ideographic full stop":    "http://127。0。0。1/",
    # other ways to write a number
    "integer":                  "http://2130706433/",
    "octal integer":            "http://017700000001/",
    "hexadecimal integer":      "http://0x7f000001/",
    "octal parts":              "http://0177.0.0.1/",
    "octal with many zeros":    "http://0000177.0.0.1/",
    "hexadecimal parts":        "http://0x7f.0x0.0x0.0x1/",
    "hexadecimal last":         "http://127.0.0.0x1/",
    "bare 0x":                  "http://127.0.0.0x/",
    "two parts":                "http://127.1/",
    "three parts":              "http://127.0.1/",
    "one part":                 "http://0/",
    "five parts":               "http://127.0.0.1.1/",
    "part over 255":            "http://127.0.0.256/",
    "dotted with final dot":    "http://127.0.0.1./",
    "zone":                     "http://[fe80::1%25eth0]/",
    "bracketed IPv4":           "http://[127.0.0.1]/",
    "bracketed name":           "http://[localhost]/",
    "unclosed bracket":         "http://[::1/",
    "after bracket":            "http://[::1].example.org/",
    "IPv6 with octal":          "http://[::ffff:0177.0.0.1]/",
}  # fmt: skip

#: Network addresses that are not open, by what is there.
CLOSED = {
    "this machine":             "127.0.0.1",
    "this machine, elsewhere":  "127.255.255.254",
    "this machine as 0":        "0.0.0.0",
    "this network":             "0.1.2.3",
    "private 10":               "10.0.0.1",
    "private 172":              "172.16.0.1",
    "private 172, last":        "172.31.255.255",
    "private 192":              "192.168.1.1",
    "provider":                 "100.64.0.1",
    "metadata":                 "169.254.169.254",
    "metadata of containers":   "169.254.170.2",
    "metadata, Alibaba":        "100.100.100.200",
    "metadata, Azure":          "168.63.129.16",
    "metadata, Oracle":         "192.0.0.192",
    "documentation":            "203.0.113.7",
    "benchmarks":               "198.19.0.1",
    "relay":                    "192.88.99.1",
    "multicast":                "224.0.0.251",
    "multicast, last":          "239.255.255.250",
    "reserved":                 "240.0.0.1",
    "everybody":                "255.255.255.255",
    "IPv6 loopback":            "::1",
    "IPv6 unspecified":         "::",
    "IPv6 link":                "fe80::1",
    "IPv6 site":                "fec0::1",
    "IPv6 private":             "fd00::1",
    "IPv6 metadata":            "fd00:ec2::254",
    "IPv6 multicast":           "ff02::1",
    "IPv6 documentation":       "2001:db8::1",
    "IPv6 discard":             "100::1",
    "mapped loopback":          "::ffff:127.0.0.1",
    "mapped in hexadecimal":    "::ffff:7f00:1",
    "mapped metadata":          "::ffff:169.254.169.254",
    "mapped public":            "::ffff:8.8.8.8",
    "translated":               "::ffff:0:127.0.0.1",
    "compatible":               "::127.0.0.1",
    "NAT64 loopback":           "64:ff9b::127.0.0.1",
    "NAT64 metadata":           "64:ff9b::a9fe:a9fe",
    "NAT64 local":              "64:ff9b:1::a00:1",
    "6to4 loopback":            "2002:7f00:1::",
    "6to4 private":             "2002:c0a8:101::1",
    "Teredo":                   "2001:0:7f00:1::1",
}  # fmt: skip

#: Network addresses that are open.
OPEN = ("8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "169.253.0.1", "223.255.255.255",
        "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888")  # fmt: skip

#: Addresses that are fine once their name resolves to an open network address, and what is asked then.
TAKEN = {
    # as given                                     scheme   host              port  path            Host header
    "http://example.org":                         ("http",  "example.org",     80,  "/",            "example.org"),
    "HTTP://EXAMPLE.ORG/A%20b?c=d&e=[f]#part":    ("http",  "example.org",     80,  "/A%20b?c=d&e=[f]", "example.org"),
    "https://example.org":                        ("https", "example.org",    443,  "/",            "example.org"),
    "https://example.org:80?q":                   ("https", "example.org",     80,  "/?q",          "example.org:80"),
    "http://a_b.x--y.example.org:0080/":          ("http",  "a_b.x--y.example.org", 80, "/",    "a_b.x--y.example.org"),
    "http://8.8.8.8/x":                           ("http",  "8.8.8.8",         80,  "/x",           "8.8.8.8"),
    "https://[2606:4700:4700:0:0:0:0:1111]/":     ("https", "2606:4700:4700::1111", 443, "/", "[2606:4700:4700::1111]"),
    "http://example.org/user@host:22/..\u002f":   ("http",  "example.org",     80, "/user@host:22/../", "example.org"),
}  # fmt: skip
