#!/usr/bin/env escript
%% The server of Erlang/OTP: HOSTKEY USER PASSWORD AUTHORIZED_KEYS, the files in directories of their own under the names that OTP
%% wants; prints "listening PORT". A port of Erlang cannot close its program's input, so "cat" is played here.
-mode(compile).
-behaviour(ssh_server_channel).
-export([main/1, init/1, handle_msg/2, handle_ssh_msg/2, terminate/2]).

main([HostKey, User, Password, Authorized]) ->
    {ok, _} = application:ensure_all_started(ssh),
    {ok, Daemon} = ssh:daemon({127, 0, 0, 1}, 0, [
        {system_dir, filename:dirname(HostKey)},
        {user_dir, filename:dirname(Authorized)},
        {user_passwords, [{User, Password}]},
        {ssh_cli, {?MODULE, []}},
        {subsystems, []},
        {tcpip_tunnel_in, true},
        {tcpip_tunnel_out, true}
    ]),
    {ok, Info} = ssh:daemon_info(Daemon),
    io:format("listening ~b~n", [proplists:get_value(port, Info)]),
    timer:sleep(infinity).

%% One session channel: its connection and number, and its program: a port, cat, or none yet.
-record(state, {connection, channel, program, errors}).

init([]) -> {ok, #state{}}.

handle_msg({ssh_channel_up, Channel, Connection}, State) ->
    {ok, State#state{connection = Connection, channel = Channel}};
handle_msg({_Port, {data, Data}}, #state{connection = Connection, channel = Channel} = State) ->
    ssh_connection:send(Connection, Channel, Data),
    {ok, State};
handle_msg({_Port, {exit_status, Status}}, #state{connection = Connection, channel = Channel} = State) ->
    {ok, Errors} = file:read_file(State#state.errors),
    file:delete(State#state.errors),
    ssh_connection:send(Connection, Channel, 1, Errors),
    finish(Status, State).

handle_ssh_msg({ssh_cm, _, {data, _, _, Data}}, #state{program = cat} = State) ->
    ssh_connection:send(State#state.connection, State#state.channel, Data),
    {ok, State};
handle_ssh_msg({ssh_cm, _, {data, _, _, Data}}, #state{program = Port} = State) ->
    port_command(Port, Data),
    {ok, State};
handle_ssh_msg({ssh_cm, _, {eof, _}}, #state{program = cat} = State) ->
    finish(0, State);
handle_ssh_msg({ssh_cm, Connection, {exec, Channel, WantReply, "cat"}}, State) ->
    ssh_connection:reply_request(Connection, WantReply, success, Channel),
    {ok, State#state{program = cat}};
handle_ssh_msg({ssh_cm, Connection, {exec, Channel, WantReply, Command}}, State) ->
    ssh_connection:reply_request(Connection, WantReply, success, Channel),
    {ok, run(Command, State)};
handle_ssh_msg({ssh_cm, Connection, {shell, Channel, WantReply}}, State) ->
    ssh_connection:reply_request(Connection, WantReply, success, Channel),
    {ok, run("exec sh", State)};
handle_ssh_msg({ssh_cm, Connection, {pty, Channel, WantReply, _}}, State) ->
    ssh_connection:reply_request(Connection, WantReply, success, Channel),
    {ok, State};
handle_ssh_msg({ssh_cm, _, _}, State) ->
    {ok, State}.

terminate(_Reason, _State) -> ok.

run(Command, State) ->
    Errors = filename:join(os:getenv("TMPDIR", "/tmp"), io_lib:format("erlang-server-~s-~p", [os:getpid(), self()])),
    Arguments = ["-c", ["exec 2>\"$0\"; ", Command], Errors],
    Port = open_port({spawn_executable, "/bin/sh"}, [{args, Arguments}, exit_status, binary, stream]),
    State#state{program = Port, errors = Errors}.

finish(Status, #state{connection = Connection, channel = Channel} = State) ->
    ssh_connection:send_eof(Connection, Channel),
    ssh_connection:exit_status(Connection, Channel, Status),
    {stop, Channel, State}.
