#!/usr/bin/env escript
%% Erlang/OTP's ssh as a client: one mode a run ("server", "consume", "provide", "once"), one line of JSON a step. See others-clients.test.ts.
-mode(compile).

main([Mode]) ->
    {ok, _} = application:ensure_all_started(ssh),
    put(step, "start"),
    try
        mode(Mode),
        halt(0)
    catch
        _:Reason ->
            Why = [case C of $" -> $'; $\\ -> $/; _ when C < 32 -> 32; _ -> C end || C <- lists:flatten(io_lib:format("~w", [Reason]))],
            io:format("{\"step\":\"~s\",\"ok\":false,\"error\":\"~s\"}~n", [get(step), Why]),
            halt(1)
    end.

step(Name) -> put(step, Name).
done() -> io:format("{\"step\":\"~s\",\"ok\":true}~n", [get(step)]).

env(Name) -> os:getenv(Name).

pattern(Size) -> << <<((I * 31 + (I bsr 8)) band 255)>> || I <- lists:seq(0, Size - 1) >>.

%% TARGET_KEY lies in this directory as id_ed25519; the known hosts have their usual name beside it.
dial(How) ->
    Home = filename:dirname(env("TARGET_KEY")),
    Dir = filename:join(Home, "otp-" ++ get(mode)),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    {ok, _} = file:copy(env("TARGET_KNOWN"), filename:join(Dir, "known_hosts")),
    {ok, _} = file:copy(env("TARGET_KEY"), filename:join(Dir, "id_ed25519")),
    Options = [{user, env("TARGET_USER")}, {user_dir, Dir}, {silently_accept_hosts, false}, {user_interaction, false},
               {save_accepted_host, false} | How],
    {ok, Connection} = ssh:connect(env("TARGET_HOST"), list_to_integer(env("TARGET_PORT")), Options),
    Connection.

with_key() -> dial([{auth_methods, "publickey"}]).

command(Connection, Line) -> command(Connection, Line, none).
command(Connection, Line, Sent) ->
    {ok, Channel} = ssh_connection:session_channel(Connection, 10000),
    success = ssh_connection:exec(Connection, Channel, Line, 10000),
    case Sent of
        none -> ok;
        _ ->
            %% Its send waits for the window, and reads no messages of ours meanwhile.
            spawn_link(fun() ->
                ok = ssh_connection:send(Connection, Channel, Sent),
                ok = ssh_connection:send_eof(Connection, Channel)
            end)
    end,
    collect(Connection, Channel, [], [], undefined).

collect(Connection, Channel, Out, Err, Status) ->
    receive
        {ssh_cm, Connection, {data, Channel, 0, Data}} ->
            ssh_connection:adjust_window(Connection, Channel, byte_size(Data)),
            collect(Connection, Channel, [Out, Data], Err, Status);
        {ssh_cm, Connection, {data, Channel, 1, Data}} -> collect(Connection, Channel, Out, [Err, Data], Status);
        {ssh_cm, Connection, {eof, Channel}} -> collect(Connection, Channel, Out, Err, Status);
        {ssh_cm, Connection, {exit_status, Channel, N}} -> collect(Connection, Channel, Out, Err, N);
        {ssh_cm, Connection, {closed, Channel}} -> {iolist_to_binary(Out), iolist_to_binary(Err), Status}
    after 60000 -> {timeout, iolist_size(Out), Err, Status}
    end.

mode(Mode) -> put(mode, Mode), run(Mode).

run("server") ->
    Connection = with_key(),
    step("key"), done(),
    step("exec"),
    {<<"hello\n">>, <<>>, 0} = command(Connection, "echo hello"),
    done(),
    step("status"),
    {<<>>, <<"as you wish\n">>, 7} = command(Connection, "fail 7"),
    done(),
    step("cat"),
    Sent = pattern(2 * 1024 * 1024),
    {Sent, <<>>, 0} = command(Connection, "cat", Sent),
    done(),
    step("idle"),
    timer:sleep(1000 * list_to_integer(env("IDLE"))),
    {<<"again\n">>, <<>>, 0} = command(Connection, "echo again"),
    ssh:close(Connection),
    done(),
    step("password"),
    Second = dial([{auth_methods, "password"}, {password, env("TARGET_PASSWORD")}]),
    {<<"in\n">>, <<>>, 0} = command(Second, "echo in"),
    ssh:close(Second),
    done();

%% ssh -L: a port of its own that leads to the line.
run("consume") ->
    Connection = with_key(),
    {ok, Port} = ssh:tcpip_tunnel_to_server(Connection, {127, 0, 0, 1}, 0, env("PEER"), list_to_integer(env("LINE"))),
    Sent = pattern(300000),
    step("echo"),
    Sent = through(Port, Sent),
    done(),
    step("close"),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
    ok = gen_tcp:send(Socket, "so long"),
    ok = gen_tcp:close(Socket),
    Sent = through(Port, Sent),
    done();

run("provide") ->
    Connection = with_key(),
    step("plugged"),
    {ok, _} = ssh:tcpip_tunnel_from_server(Connection, "localhost", list_to_integer(env("LINE")), {127, 0, 0, 1}, list_to_integer(env("ECHO"))),
    done(),
    receive never -> ok end;

run("once") ->
    Connection = with_key(),
    step("pty"),
    {ok, Channel} = ssh_connection:session_channel(Connection, 10000),
    success = ssh_connection:ptty_alloc(Connection, Channel, [{term, "xterm"}, {width, 81}, {height, 25}], 10000),
    success = ssh_connection:exec(Connection, Channel, "stty size; exit 3", 10000),
    {<<"25 81\r\n">>, <<>>, 3} = collect(Connection, Channel, [], [], undefined),
    done().

%% Its tunnels end with either direction, so the sender keeps open until all is back.
through(Port, Sent) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
    spawn_link(fun() -> ok = gen_tcp:send(Socket, Sent) end),
    {ok, Got} = gen_tcp:recv(Socket, byte_size(Sent), 60000),
    ok = gen_tcp:close(Socket),
    Got.
