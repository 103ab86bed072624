# CPython as PyInstaller needs it: a shared library, and no search path in any file (the linker's cache knows the prefix).
# What a frozen program's start spends is saved where it costs nothing: calls inside that library are bound when it is
# made, and the modules that the launcher's start needs are in it. Profile-guided optimization gained no more (DECISIONS.md).
ldconfig
cat >Modules/Setup.local <<'END'
*static*
_json _json.c
_sha2 sha2module.c -I$(srcdir)/Modules/_hacl/include Modules/_hacl/libHacl_Hash_SHA2.a
_socket socketmodule.c
_struct _struct.c
fcntl fcntlmodule.c
math mathmodule.c
select selectmodule.c
zlib zlibmodule.c -lz
END
# What configure would find out by trying it here and now: a build under `nice` alone had it change libpython.
sure="ac_cv_broken_mbstowcs=no ac_cv_broken_nice=no ac_cv_broken_poll=no ac_cv_broken_sem_getvalue=no
    ac_cv_buggy_getaddrinfo=no ac_cv_file__dev_ptmx=yes ac_cv_posix_semaphores_enabled=yes ac_cv_working_tzset=yes"
./configure --prefix="$PREFIX" --enable-shared --without-static-libpython --without-ensurepip \
    --disable-test-modules --with-openssl="$PREFIX" $sure \
    OPT="-DNDEBUG -g0 -O3 -Wall" CFLAGS_NODIST="-fno-semantic-interposition" \
    LDFLAGS_NODIST="-fno-semantic-interposition -Wl,-O1 -Wl,-Bsymbolic-functions" \
    --with-system-expat LIBEXPAT_CFLAGS="-I$PREFIX/include" LIBEXPAT_LDFLAGS="-L$PREFIX/lib -lexpat" \
    LIBSQLITE3_CFLAGS="-I$PREFIX/include" LIBSQLITE3_LIBS="-L$PREFIX/lib -lsqlite3"
make -j"$JOBS"
make install COMPILEALL_OPTS="-j$JOBS --invalidation-mode=unchecked-hash"
ldconfig
# An optional module that could not be built is left out without a word: say it here.
"$PREFIX/bin/python3.13" -c "import _bz2, _ctypes, _hashlib, _lzma, _multiprocessing, _sqlite3, _ssl, _uuid, pyexpat, zlib"
# What neither runs nor freezes a program.
cd "$PREFIX"
find lib -name "*.opt-[12].pyc" -delete
rm -rf include share/man bin/idle3* bin/pydoc3* bin/*-config lib/*.so lib/pkgconfig lib/python3.13/test \
    lib/python3.13/idlelib lib/python3.13/tkinter lib/python3.13/turtledemo
