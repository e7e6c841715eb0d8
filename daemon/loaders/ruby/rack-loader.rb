# frozen_string_literal: true

# Starts a Rack app and serves it to the daemon: descriptor 3 listens, descriptor 4 reports (docs/APP-PROTOCOL.md).

require_relative 'flying_passenger/report'
require_relative 'flying_passenger/bundler_first'

module FlyingPassenger
  REPORT = Report.new(4)
  REPORT.loading
  REPORT.failures { BundlerFirst.set_up }
end

require_relative 'flying_passenger/events'
require_relative 'flying_passenger/application'
require_relative 'flying_passenger/server'
require_relative 'flying_passenger/reactor'

module FlyingPassenger
  LISTEN_FD = 3

  def self.main
    $stdout.sync = $stderr.sync = true
    startup_file = ENV.delete('FLYING_PASSENGER_STARTUP_FILE')
    group = ENV.delete('FLYING_PASSENGER_GROUP')
    threads = Integer(ENV.delete('FLYING_PASSENGER_THREADS') || 1)
    $PROGRAM_NAME = "Passenger RubyApp: #{group}"
    app = REPORT.failures { load_application(startup_file) }
    Server.new(LISTEN_FD, app, threads).run(REPORT)
    PhusionPassenger.call_event(:stopping_worker_process)
    Reactor.stop
  end

  def self.load_application(startup_file)
    app = Application.load(startup_file)
    PhusionPassenger.call_event(:starting_worker_process, false)
    app
  end
end

FlyingPassenger.main
