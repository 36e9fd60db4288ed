# Sourced by the MariaDB image when it makes a new data directory. Each service creates a database of
# its own, mmorts_<service>.
docker_process_sql --database=mysql <<SQL
GRANT ALL ON \`mmorts\\_%\`.* TO '${MARIADB_USER}'@'%';
SQL
