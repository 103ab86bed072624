# The one file that is all of SQLite, and the library made of it. Options: what Debian's own has, less what nothing asks for.
./configure --disable-readline --disable-tcl
make sqlite3.c sqlite3.h
gcc -O2 -g0 -fPIC -shared -Wl,-soname,libsqlite3.so.0 -o libsqlite3.so.0 sqlite3.c \
    -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS3 \
    -DSQLITE_ENABLE_FTS3_PARENTHESIS -DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_LOAD_EXTENSION \
    -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_SESSION \
    -DSQLITE_ENABLE_UPDATE_DELETE_LIMIT -DSQLITE_MAX_VARIABLE_NUMBER=250000 -DSQLITE_SECURE_DELETE -DSQLITE_USE_URI=1 \
    -lm -ldl -lpthread
mkdir -p "$PREFIX/lib" "$PREFIX/include"
cp libsqlite3.so.0 "$PREFIX/lib/"
ln -s libsqlite3.so.0 "$PREFIX/lib/libsqlite3.so"
cp sqlite3.h "$PREFIX/include/"
