%% Erlang/OTP's ssh as one end of a tunnel, by its own functions for that; prints "ready PORT" once it is open.
%% erlang-tunnel.escript from|to PORT USER DIRECTORY ListenHost ListenPort ToHost ToPort
%% `from` is ssh -R, `to` is ssh -L; DIRECTORY has the key that signs in, as id_ed25519.
main([Way, Port, User, Directory, ListenHost, ListenPort, ToHost, ToPort]) ->
    {ok, _} = application:ensure_all_started(ssh),
    Options = [{user, User}, {user_dir, Directory}, {auth_methods, "publickey"}, {user_interaction, false},
               {silently_accept_hosts, true}, {save_accepted_host, false}],
    {ok, Connection} = ssh:connect("127.0.0.1", list_to_integer(Port), Options),
    Tunnel = case Way of "from" -> fun ssh:tcpip_tunnel_from_server/6; "to" -> fun ssh:tcpip_tunnel_to_server/6 end,
    {ok, Listening} = Tunnel(Connection, ListenHost, list_to_integer(ListenPort), ToHost, list_to_integer(ToPort), 60000),
    io:format("ready ~w~n", [Listening]),
    receive never -> ok end.
